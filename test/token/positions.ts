import { toDevice } from '../../src/tensor/ops.ts'
import { type Device, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { type Grid, tokenCount } from '../../src/token/grid.ts'
import { sineCosinePositions } from '../../src/token/position.ts'

/** The positions of a grid as a tensor [N, width] on `device`. cls has none: its row in the reference is zeros. */
export function positions(grid: Grid, width: number, device: Device): Tensor {
  return toDevice(tensor(sineCosinePositions(grid, width), [tokenCount(grid), width]), device)
}
