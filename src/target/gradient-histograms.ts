/**
 * Histograms of oriented gradients (Dalal and Triggs 2005), as MaskFeat has them (Wei et al. 2022, section 3.2): for each cell and channel,
 * the gradients' magnitudes by their direction, at unit length. Each pixel votes for one bin. Differences are taken before they are weighted,
 * so that equal pixels give exactly zero: a convolution leaves rounding noise, which unit length would turn into a random direction.
 */
import { SherdError } from '../errors.ts'
import { call } from '../tensor/call.ts'
import {
  add,
  div,
  mul,
  narrow,
  permute,
  reshape,
  sqrt,
  square,
  sub,
  toDevice,
  toDtype,
} from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'

export interface HistogramOptions {
  /** The side of a cell in pixels; it divides both sides of a patch. */
  readonly cellSize: number
  /** Directions of a whole turn are numbered from 0 to 2 · bins, and both halves share their bins. An odd number keeps vertical ones off the edge of a bin. */
  readonly bins: number
  /** The side in pixels of a Gaussian by which magnitudes are weighted, tiled from the top left; 0: none. */
  readonly gaussianWindow: number
}

/** Of a patch of height and width `patchSize`: cells across, and numbers of its descriptor for `channels`. Throws `VALUE`. */
export function descriptorOf(
  patchSize: readonly [number, number],
  channels: number,
  { cellSize, bins }: Pick<HistogramOptions, 'cellSize' | 'bins'>,
) {
  const cells = patchSize.map((side) => side / cellSize) as [number, number]
  if (!cells.every((n) => Number.isInteger(n) && n >= 1))
    throw new SherdError(
      'VALUE',
      `Cells of ${cellSize} pixels do not fill patches of ${patchSize.join(' × ')}: expected a number that divides both, or no target.cellSize, which is half a patch`,
    )
  return { cells, width: channels * bins * cells[0] * cells[1] }
}

/** x [n, a, b] along dimension 1 or 2: sum of (1, 2, 1) times three neighbours. */
function smooth(x: Tensor, dim: 1 | 2): Tensor {
  const length = x.shape[dim]! - 2
  const at = (from: number) => narrow(x, dim, from, length)
  return add(add(at(0), mul(at(1), 2)), at(2))
}

/** x [n, a, b] along dimension 1 or 2: the neighbour before minus the neighbour behind. */
const differences = (x: Tensor, dim: 1 | 2): Tensor => {
  const length = x.shape[dim]! - 2
  return sub(narrow(x, dim, 0, length), narrow(x, dim, 2, length))
}

/** [H, W] weights of a Gaussian window of side `g`, repeated. */
function windowWeights(g: number, height: number, width: number): Tensor {
  const line = Array.from({ length: g }, (_, i) =>
    Math.exp(-0.5 * ((i - (g - 1) / 2) / Math.floor(g / 2)) ** 2),
  )
  const total = line.reduce((a, b) => a + b, 0) ** 2
  const values = Float32Array.from({ length: height * width }, (_, i) => {
    const [y, x] = [Math.floor(i / width), i % width]
    return (line[y % g]! * line[x % g]!) / total
  })
  return tensor(values, [height, width])
}

/**
 * images [B, C, H, W] → [B, N, C·bins·u·v] for each patch of u × v cells, at ((channel · bins + bin) · u + cell row) · v + cell column.
 * In float32.
 */
export function gradientHistograms(
  images: Tensor,
  { patchSize, ...options }: HistogramOptions & { readonly patchSize: readonly [number, number] },
): Tensor {
  const [B, C, H, W] = expectShape(images, ['B', 'C', 'H', 'W'], 'gradientHistograms: images')
  const { cellSize, bins, gaussianWindow } = options
  const { cells, width } = descriptorOf(patchSize, C, options)
  const [h, w] = [H / patchSize[0], W / patchSize[1]]
  return scope(() => {
    const planes = reshape(toDtype(images, 'float32'), [B * C, H, W])
    const padded = call('reflection_pad2d', planes, [1, 1, 1, 1])
    const across = smooth(differences(padded, 2), 1)
    const down = smooth(differences(padded, 1), 2)
    const magnitude = sqrt(add(square(across), square(down)))
    const weighted = gaussianWindow
      ? mul(magnitude, toDevice(windowWeights(gaussianWindow, H, W), images.device))
      : magnitude
    const phase = mul(call('atan2', across, down), bins / Math.PI)
    const bin = call('remainder.Scalar', call('floor', phase), bins)
    const inCells = [B * C, H / cellSize, cellSize, W / cellSize, cellSize]
    const votes = Array.from({ length: bins }, (_, k) =>
      call(
        'sum.dim_IntList',
        reshape(mul(weighted, call('eq.Scalar', bin, k)), inCells),
        [2, 4],
        false,
        null,
      ),
    )
    const all = call('stack', votes, 1) // [B · C, bins, H / cell, W / cell]
    const length = sqrt(call('sum.dim_IntList', square(all), [1], true, null))
    const unit = div(all, call('clamp', length, 1e-12, null))
    const ofPatches = reshape(unit, [B, C, bins, h, cells[0], w, cells[1]])
    return reshape(permute(ofPatches, [0, 3, 5, 1, 2, 4, 6]), [B, h * w, width])
  })
}
