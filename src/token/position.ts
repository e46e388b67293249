/**
 * Fixed sine–cosine positions of a grid (He et al. 2021, after Vaswani et al. 2017). The first half of the width encodes
 * the column, the second half the row; each half is all sines, then all cosines, of position · 10000^(−k / (width/4)).
 */
import { SherdError } from '../errors.ts'
import { toDevice } from '../tensor/ops.ts'
import { type Device, type Tensor, tensor } from '../tensor/tensor.ts'
import { type Grid, tokenCount } from './grid.ts'

/** The position table [N, width] as numbers, row-major over the grid. */
export function sineCosinePositions(grid: Grid, width: number): Float32Array {
  if (width < 4 || width % 4 !== 0) {
    throw new SherdError('SHAPE', `Sine–cosine positions need a width that is a multiple of 4, got ${width}`)
  }
  const quarter = width / 4
  const table = new Float32Array(tokenCount(grid) * width)
  for (let row = 0; row < grid.h; row++) {
    for (let column = 0; column < grid.w; column++) {
      const at = (row * grid.w + column) * width
      for (let k = 0; k < quarter; k++) {
        const frequency = 10000 ** (-k / quarter)
        table[at + k] = Math.sin(column * frequency)
        table[at + quarter + k] = Math.cos(column * frequency)
        table[at + 2 * quarter + k] = Math.sin(row * frequency)
        table[at + 3 * quarter + k] = Math.cos(row * frequency)
      }
    }
  }
  return table
}

/** The positions of a grid as a tensor [N, width] on `device`. cls has none: its row in the reference is zeros. */
export function positions(grid: Grid, width: number, device: Device): Tensor {
  return toDevice(tensor(sineCosinePositions(grid, width), [tokenCount(grid), width]), device)
}
