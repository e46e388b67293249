/** The rows of attention that a graph gives, [1, L, A, P + N], as one value for each patch. */

export interface Attention {
  /** The softmax row of the cls token over all tokens, cls first and the patches last: blocks × heads × (P + N). */
  readonly values: Float32Array
  readonly blocks: number
  readonly heads: number
}

export interface AttentionMap {
  /** [N] shares of the cls token's attention. */
  readonly shares: Float32Array
  /** What it gives to itself. With the shares, and those of registers, it makes 1. */
  readonly own: number
}

/** Of N patches: one head of one block, both from 0; for `head` null the mean of all heads. */
export function attentionMap(
  { values, blocks, heads }: Attention,
  {
    block,
    head,
    patches,
  }: { readonly block: number; readonly head: number | null; readonly patches: number },
): AttentionMap {
  const tokens = values.length / (blocks * heads)
  const chosen = head === null ? Array.from({ length: heads }, (_, a) => a) : [head]
  const row = new Float32Array(tokens)
  for (const a of chosen) {
    const from = (block * heads + a) * tokens
    for (let n = 0; n < tokens; n++) row[n]! += values[from + n]! / chosen.length
  }
  return { own: row[0]!, shares: row.subarray(tokens - patches) }
}
