/** Labels by folders, in words. */
import { type Description, grouped, listed } from './inspected.ts'

export const countsOf = (classes: readonly string[], labels: Int32Array | null): Record<string, number> => {
  const counts = new Array<number>(classes.length).fill(0)
  for (const label of labels ?? []) counts[label]!++
  return Object.fromEntries(classes.map((name, i) => [name, counts[i]!]))
}

/** Commonest first, with counts where labels are known. */
export function classRows(classes: readonly string[], labels: Int32Array | null): Description['rows'] {
  if (classes.length === 0) return []
  const counts = Object.entries(countsOf(classes, labels)).sort(([, a], [, b]) => b - a)
  const names = labels ? counts.map(([name, count]) => `${name} ${grouped(count)}`) : classes
  return [['classes', `${grouped(classes.length)}: ${listed(names, 12)}`]]
}
