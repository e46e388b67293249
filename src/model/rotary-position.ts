/**
 * Rotary positions of a grid (DINOv3, Siméoni et al. 2025, after Su et al. 2021): queries and keys of patches are turned by angles that grow
 * with their row and column, both from −1 to 1; prefix tokens stay as they are.
 */
import { add, cat, expand, mul, narrow, reshape, toDevice } from '../tensor/ops.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import { tokenCount } from '../token/grid.ts'
import { take } from '../token/take.ts'
import type { BlocksAttention, TokenPlaces } from './block-attention.ts'

export interface RotaryPositions {
  /** Of the k-th pair of a quarter of a head's width d: 100^(4k/d) in DINOv3, whose files may hold rounded ones. */
  readonly periods: readonly number[]
}

export const rotaryPeriods = (headWidth: number, base = 100): number[] =>
  Array.from({ length: headWidth / 4 }, (_, k) => base ** ((4 * k) / headWidth))

export function rotaryAttention(
  { periods }: RotaryPositions,
  { grid, prefix, kept, device }: TokenPlaces,
): BlocksAttention {
  const [N, d] = [tokenCount(grid), 4 * periods.length]
  const angles = Array.from({ length: N }, (_, n) => {
    const [y, x] = [Math.floor(n / grid.w) + 0.5, (n % grid.w) + 0.5]
    const sides = [(2 * y) / grid.h - 1, (2 * x) / grid.w - 1]
    const half = sides.flatMap((side) => periods.map((period) => (2 * Math.PI * side) / period))
    return [...half, ...half]
  }).flat()
  const table = (of: (angle: number) => number) => {
    const all = toDevice(tensor(angles.map(of), [1, N, d]), device)
    const [B, K] = (kept?.shape ?? [1, N]) as readonly [number, number]
    return reshape(kept ? take(expand(all, [B, N, d]), kept) : all, [B, 1, K, d])
  }
  return turning([table(Math.cos), table(Math.sin)], prefix)
}

/** By cosines and sines [1 or B, 1, K, d] of the angles of the patches behind `prefix` tokens. */
export function turning(tables: readonly [cos: Tensor, sin: Tensor], prefix: number): BlocksAttention {
  const turned = (x: Tensor, [cos, sin]: readonly Tensor[]) => {
    const patches = narrow(x, 2, prefix, x.shape[2]! - prefix)
    const half = x.shape[3]! / 2
    const [first, second] = [0, half].map((start) => narrow(patches, 3, start, half)) as [Tensor, Tensor]
    const made = add(mul(patches, cos!), mul(cat([mul(second, -1), first], 3), sin!))
    return prefix === 0 ? made : cat([narrow(x, 2, 0, prefix), made], 2)
  }
  return { given: tables, onQk: (q, k, given) => [turned(q, given), turned(k, given)] }
}
