/** Shape checks at the door of public functions, in the shape alphabet. */
import { SherdError } from '../errors.ts'
import type { Tensor } from './tensor.ts'

type Sizes<T extends readonly unknown[]> = { -readonly [K in keyof T]: number }

/**
 * The sizes of `x`, checked against `pattern`: a number must be met, a letter stands for any size ≥ 1.
 * `expectShape(x, ['B', 'N', 192], 'encode: tokens')` → `[B, N, 192]`.
 */
export function expectShape<const P extends readonly (string | number)[]>(
  x: Tensor,
  pattern: P,
  what: string,
): Sizes<P> {
  const { shape } = x
  const fits =
    shape.length === pattern.length &&
    pattern.every((want, i) => (typeof want === 'number' ? shape[i] === want : shape[i]! >= 1))
  if (!fits) throw new SherdError('SHAPE', `${what}: expected [${pattern.join(', ')}], got ${x}`)
  return [...shape] as Sizes<P>
}
