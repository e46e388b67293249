/**
 * A table of learned positions for another grid: bicubic, each side by itself (Keys 1981, a = −0.75), edges repeated and centres of
 * places aligned – what PyTorch's `interpolate` and the loaders of other programs do. Computed positions are not resampled but
 * computed anew.
 */
import { type Grid, tokenCount } from './grid.ts'

const A = -0.75

function cubic(distance: number): number {
  const x = Math.abs(distance)
  if (x <= 1) return ((A + 2) * x - (A + 3)) * x * x + 1
  return x < 2 ? A * (((x - 5) * x + 8) * x - 4) : 0
}

/** Of each new place along a side: the four old ones around it and their weights. */
function taps(from: number, to: number): readonly (readonly [place: number, weight: number])[][] {
  return Array.from({ length: to }, (_, i) => {
    const centre = ((i + 0.5) * from) / to - 0.5
    const first = Math.floor(centre) - 1
    return [0, 1, 2, 3].map((k) => [Math.min(from - 1, Math.max(0, first + k)), cubic(centre - (first + k))])
  })
}

/** The table [N, width] of grid `from` as one of grid `to`. */
export function resamplePositions(
  table: Float32Array,
  width: number,
  { from, to }: { readonly from: Grid; readonly to: Grid },
): Float32Array {
  if (from.h === to.h && from.w === to.w) return table
  const [rows, columns] = [taps(from.h, to.h), taps(from.w, to.w)]
  const result = new Float32Array(tokenCount(to) * width)
  let at = 0
  for (const row of rows)
    for (const column of columns) {
      for (let k = 0; k < width; k++) {
        let sum = 0
        for (const [r, weightOfRow] of row)
          for (const [c, weight] of column) sum += weightOfRow * weight * table[(r * from.w + c) * width + k]!
        result[at + k] = sum
      }
      at += width
    }
  return result
}
