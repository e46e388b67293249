/** The largest batch that fits, found by trying: doubled until one does not, then halving what is between. */

export interface Range {
  readonly from: number
  readonly to: number
  /** Batches are multiples of this. */
  readonly multiple: number
}

/** The largest multiple in [from, to] that fits, to within a sixteenth; `null` when `from` does not. */
export async function largestBatch(
  fits: (batch: number) => Promise<boolean>,
  { from, to, multiple }: Range,
): Promise<number | null> {
  if (!(await fits(from))) return null
  let good = from
  let bad = to + multiple
  while (2 * good < bad) {
    if (await fits(2 * good)) good *= 2
    else bad = 2 * good
  }
  while (bad - good > Math.max(multiple, good / 16)) {
    const middle = Math.ceil((good + bad) / 2 / multiple) * multiple
    if (middle >= bad) break
    if (await fits(middle)) good = middle
    else bad = middle
  }
  return good
}

/** Whether a program ended for want of memory, as PyTorch, LibTorch and CUDA say it. */
export const isOutOfMemory = (error: unknown): boolean =>
  /out of memory|OutOfMemoryError|not enough memory|CUBLAS_STATUS_ALLOC_FAILED/i.test(String(error))
