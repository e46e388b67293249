/** Labels by folders, in words. */
import { grouped, listed, type Row } from './inspected.ts'

export const countsOf = (classes: readonly string[], labels: Int32Array | null): Record<string, number> => {
  const counts = new Array<number>(classes.length).fill(0)
  for (const label of labels ?? []) counts[label]!++
  return Object.fromEntries(classes.map((name, i) => [name, counts[i]!]))
}

/** Commonest first, with counts where labels are known. */
export function classRows(classes: readonly string[], labels: Int32Array | null): Row[] {
  if (classes.length === 0) return []
  const counts = Object.entries(countsOf(classes, labels)).sort(([, a], [, b]) => b - a)
  const names = labels ? counts.map(([name, count]) => `${name} ${grouped(count)}`) : classes
  return [['classes', `${grouped(classes.length)}: ${listed(names, 12)}`]]
}
