/**
 * Lengths that are known only at run time, as sums of products of symbols: with `batch` and `kept`, the sequence of an autoencoder has
 * length 1 + kept, and batch · kept tokens. A symbol occurs at most once in a product.
 */

/** A number, or coefficients by product: `{ '1': 1, kept: 2, 'batch*kept': 3 }` is 1 + 2 · kept + 3 · batch · kept. */
export type Size = number | { readonly [product: string]: number }
export type SymbolicSize = Exclude<Size, number>

/** The lengths of a trace. */
export type SymbolValues = Readonly<Record<string, number>>

/** Three lengths per symbol for tracing: two determine a size, the third checks it. */
export type Symbols = Readonly<Record<string, readonly [low: number, high: number, check: number]>>

/** All corners, the first symbol changing fastest, then the check. */
export function recordingPoints(symbols: Symbols): SymbolValues[] {
  const entries = Object.entries(symbols)
  const corners = Array.from({ length: 2 ** entries.length }, (_, bits) =>
    Object.fromEntries(entries.map(([name, values], i) => [name, values[(bits >> i) & 1]!])),
  )
  return [...corners, Object.fromEntries(entries.map(([name, [, , check]]) => [name, check]))]
}

/** The size with these values at the points, or null if no sum of products fits. */
export function sizeThrough(values: readonly number[], symbols: Symbols): Size | null {
  if (values.every((value) => Object.is(value, values[0]))) return values[0]!
  const names = Object.keys(symbols)
  const terms = values.slice(0, -1)
  for (const [i, name] of names.entries()) {
    const [low, high] = symbols[name]!
    for (let at = 0; at < terms.length; at++) {
      if ((at >> i) & 1) continue
      const above = at | (1 << i)
      const slope = (terms[above]! - terms[at]!) / (high - low)
      terms[at] = terms[at]! - slope * low
      terms[above] = slope
    }
  }
  if (!terms.every(Number.isInteger)) return null
  const products = terms.map((_, bits) => names.filter((_, i) => (bits >> i) & 1).join('*') || '1')
  const size = Object.fromEntries(
    products.map((product, i) => [product, terms[i]!]).filter(([, n]) => n !== 0),
  )
  const [check] = recordingPoints(symbols).slice(-1)
  return sizeAt(size, check!) === values.at(-1) ? size : null
}

export const symbolsIn = (product: string): readonly string[] => (product === '1' ? [] : product.split('*'))

export const sizeAt = (size: Size, values: SymbolValues): number =>
  typeof size === 'number'
    ? size
    : Object.entries(size).reduce(
        (sum, [product, times]) => sum + symbolsIn(product).reduce((n, name) => n * values[name]!, times),
        0,
      )

export const sameSize = (a: Size | undefined, b: Size | undefined): boolean =>
  a !== undefined && b !== undefined && sizeName(a) === sizeName(b)

/** `batch`, `1+kept`, `15-kept`, `3*batch*kept`. */
export function sizeName(size: Size): string {
  if (typeof size === 'number') return String(size)
  return Object.entries(size)
    .sort(([a], [b]) => symbolsIn(a).length - symbolsIn(b).length || (a < b ? -1 : 1))
    .map(([product, times]) => {
      const sign = times < 0 ? '-' : '+'
      const often = Math.abs(times)
      if (product === '1') return `${sign}${often}`
      return often === 1 ? `${sign}${product}` : `${sign}${often}*${product}`
    })
    .join('')
    .replace(/^\+/, '')
}

export function addSizes(a: Size, b: Size): Size {
  if (typeof a === 'number' && typeof b === 'number') return a + b
  const terms = (size: Size) => (typeof size === 'number' ? { '1': size } : size)
  const sum: Record<string, number> = { ...terms(a) }
  for (const [product, times] of Object.entries(terms(b))) sum[product] = (sum[product] ?? 0) + times
  const left = Object.entries(sum).filter(([, times]) => times !== 0)
  return left.every(([product]) => product === '1') ? (left[0]?.[1] ?? 0) : Object.fromEntries(left)
}
