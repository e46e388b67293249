/** The `q`-quantile of ascending values, linearly interpolated as in NumPy; NaN without values. */
export function quantile(ascending: ArrayLike<number>, q: number): number {
  if (ascending.length === 0) return Number.NaN
  const at = q * (ascending.length - 1)
  const low = Math.floor(at)
  const [a, b] = [ascending[low]!, ascending[Math.min(low + 1, ascending.length - 1)]!]
  return a + (at - low) * (b - a)
}
