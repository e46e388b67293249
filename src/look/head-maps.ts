/** Rows of attention as maps over the patches of an image. Runs in browsers. */

export interface HeadMap {
  /** [N] as the softmax gives them: with `prefix` they sum to 1. */
  readonly patches: Float32Array
  /** What falls on cls tokens and registers. */
  readonly prefix: number
}

/** `shares`: [A, P + N], where P is `prefix`. */
export function headMaps(shares: Float32Array, heads: number, prefix: number): HeadMap[] {
  const each = shares.length / heads
  return Array.from({ length: heads }, (_, head) => {
    const own = shares.subarray(head * each, (head + 1) * each)
    return {
      patches: own.slice(prefix),
      prefix: own.subarray(0, prefix).reduce((sum, share) => sum + share, 0),
    }
  })
}

/** The mean over the heads. */
export const meanMap = (maps: readonly HeadMap[]): HeadMap => ({
  patches: Float32Array.from(maps[0]!.patches, (_, i) =>
    maps.reduce((sum, { patches }) => sum + patches[i]! / maps.length, 0),
  ),
  prefix: maps.reduce((sum, { prefix }) => sum + prefix / maps.length, 0),
})
