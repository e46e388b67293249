/**
 * Fixed sine–cosine positions of a grid (He et al. 2021, after Vaswani et al. 2017). The first half of the width encodes
 * the column, the second half the row; each half is all sines, then all cosines, of position · 10000^(−k / (width/4)).
 */
import { SherdError } from '../errors.ts'
import { toDevice } from '../tensor/ops.ts'
import { type Device, type Tensor, tensor } from '../tensor/tensor.ts'
import { type Grid, tokenCount } from './grid.ts'

/** Half a row of the table for each of `count` places along one side: [count, 2 · quarter]. */
function alongSide(count: number, quarter: number, scale: number): Float32Array[] {
  return Array.from({ length: count }, (_, place) => {
    const half = new Float32Array(2 * quarter)
    for (let k = 0; k < quarter; k++) {
      const angle = place * scale * 10000 ** (-k / quarter)
      half[k] = Math.sin(angle)
      half[quarter + k] = Math.cos(angle)
    }
    return half
  })
}

/**
 * The position table [N, width] as numbers, row-major over the grid. `scale` multiplies rows and columns: the size of a pixel on the
 * ground over that of a reference (Scale-MAE, Reed et al. 2023, section 3.1), so that equal distances look alike.
 */
export function sineCosinePositions(grid: Grid, width: number, scale = 1): Float32Array {
  if (width < 4 || width % 4 !== 0) {
    throw new SherdError('SHAPE', `Sine–cosine positions need a width that is a multiple of 4, got ${width}`)
  }
  const quarter = width / 4
  const rows = alongSide(grid.h, quarter, scale)
  const columns = alongSide(grid.w, quarter, scale)
  const table = new Float32Array(tokenCount(grid) * width)
  for (const [r, row] of rows.entries())
    for (const [c, column] of columns.entries()) {
      const at = (r * grid.w + c) * width
      table.set(column, at)
      table.set(row, at + 2 * quarter)
    }
  return table
}

/** The positions of a grid as a tensor [N, width] on `device`. cls has none: its row in the reference is zeros. */
export function positions(grid: Grid, width: number, device: Device): Tensor {
  return toDevice(tensor(sineCosinePositions(grid, width), [tokenCount(grid), width]), device)
}
