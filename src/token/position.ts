/**
 * Fixed sine–cosine positions of a grid (He et al. 2021, after Vaswani et al. 2017). One half of the width encodes the column, the other
 * the row; each half is all sines, then all cosines, of position · 10000^(−k / (width/4)), so the width must be a multiple of 4.
 */
import { SherdError } from '../errors.ts'
import { cat, expand, narrow, reshape } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type Grid, tokenCount } from './grid.ts'

/** Which half comes first. */
const positionOrders = {
  /** MAE */
  'column-first': [0, 1],
  /** MoCo v3 */
  'row-first': [1, 0],
} as const satisfies Record<string, readonly [column: 0 | 1, row: 0 | 1]>
export type PositionOrder = keyof typeof positionOrders

/** Half a row of the table for each of `count` places along one side, [count, half]: all that there is of a formula. */
export function sidePositions(count: number, half: number, scale = 1): Float32Array {
  const quarter = half / 2
  const table = new Float32Array(count * half)
  for (let place = 0; place < count; place++)
    for (let k = 0; k < quarter; k++) {
      const angle = place * scale * 10000 ** (-k / quarter)
      table[place * half + k] = Math.sin(angle)
      table[place * half + quarter + k] = Math.cos(angle)
    }
  return table
}

/**
 * The position table [N, width] as numbers, row-major over the grid. `scale` multiplies rows and columns: the size of a pixel on the
 * ground over that of a reference (Scale-MAE, Reed et al. 2023, section 3.1), so that equal distances look alike.
 */
export function sineCosinePositions(
  grid: Grid,
  width: number,
  scale = 1,
  order: PositionOrder = 'column-first',
): Float32Array {
  if (width < 4 || width % 4 !== 0) {
    throw new SherdError('SHAPE', `Sine–cosine positions need a width that is a multiple of 4, got ${width}`)
  }
  const [ofColumn, ofRow] = positionOrders[order]
  const half = width / 2
  const rows = sidePositions(grid.h, half, scale)
  const columns = sidePositions(grid.w, half, scale)
  const table = new Float32Array(tokenCount(grid) * width)
  for (let r = 0; r < grid.h; r++)
    for (let c = 0; c < grid.w; c++) {
      const at = (r * grid.w + c) * width
      table.set(columns.subarray(c * half, (c + 1) * half), at + ofColumn * half)
      table.set(rows.subarray(r * half, (r + 1) * half), at + ofRow * half)
    }
  return table
}

/**
 * The same table [N, width] put together by tensor operations from `sidePositions` [most, width / 2]: a graph of it serves every grid
 * whose sides are not longer.
 */
export function composePositions(side: Tensor, { h, w }: Grid): Tensor {
  const half = side.shape[1]!
  return scope(() => {
    const ofColumns = expand(reshape(narrow(side, 0, 0, w), [1, w, half]), [h, w, half])
    const ofRows = expand(reshape(narrow(side, 0, 0, h), [h, 1, half]), [h, w, half])
    return reshape(cat([ofColumns, ofRows], 2), [h * w, 2 * half])
  })
}
