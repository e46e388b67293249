/** Paths as people sort them: folder by folder, numbers by their value. Names that compare equal are ordered by code units, so it is one order. */
const names = new Intl.Collator('en', { numeric: true })

export function naturalOrder(a: string, b: string): number {
  const [ones, others] = [a.split('/'), b.split('/')]
  for (const [i, one] of ones.entries()) {
    const order = names.compare(one, others[i] ?? '')
    if (order !== 0) return order
  }
  return ones.length - others.length || (a < b ? -1 : Number(a > b))
}
