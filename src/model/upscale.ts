/**
 * Multi-scale reconstruction (SatMAE++, Noman et al. 2024, section 3.2): the decoder's picture is enlarged two-fold again and again, by
 * a transposed convolution and a residual block each, and every size is held against the image at that size.
 */
import { call } from '../tensor/call.ts'
import { layerNorm } from '../tensor/fused.ts'
import { add, contiguous, gelu, permute } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { normRows } from './block.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

export interface UpscaleShape {
  /** Bands of the picture. */
  readonly bands: number
  /** Channels between the convolutions. */
  readonly width: number
  /** How often it is doubled. */
  readonly doublings: number
}

const EPSILON = 1e-6

function convolutionRows(name: string, output: number, input: number, side: number): ParameterRow[] {
  return [
    { name: `${name}.weight`, shape: [output, input, side, side], initial: 'xavier' },
    { name: `${name}.bias`, shape: [output], initial: 'zeros' },
  ]
}

export function upscaleRows({ bands, width: U, doublings }: UpscaleShape): ParameterRow[] {
  const blocks = Array.from({ length: doublings }, (_, i) => `upscale.blocks.${i}`)
  return [
    ...convolutionRows('upscale.embed', U, bands, 1),
    ...normRows('upscale.norm', U),
    ...blocks.flatMap((name) => [
      ...convolutionRows(`${name}.up`, U, U, 4),
      ...normRows(`${name}.norm`, U),
      ...convolutionRows(`${name}.conv1`, U, U, 3),
      ...convolutionRows(`${name}.conv2`, U, U, 3),
      ...convolutionRows(`${name}.pred`, bands, U, 1),
    ]),
  ]
}

const convolve = (x: Tensor, weights: Weights, padding: number) =>
  call('conv2d', x, weights('weight'), weights('bias'), [1, 1], [padding, padding], [1, 1], 1)

const channelsLast = (x: Tensor) => contiguous(permute(x, [0, 2, 3, 1]))
const channelsFirst = (x: Tensor) => permute(x, [0, 3, 1, 2])
const norm = (x: Tensor, weights: Weights) =>
  layerNorm(x, { weight: weights('weight'), bias: weights('bias') }, EPSILON)

/** Pictures [B, C, H, W] → [B, C, 2 H, 2 W], [B, C, 4 H, 4 W] …, one for each doubling. */
export function upscale(pictures: Tensor, weights: Weights, { doublings }: UpscaleShape): readonly Tensor[] {
  return scope(() => {
    const own = within(weights, 'upscale')
    // Channels last before the GELU, too: LibTorch 1.13 differentiates it wrongly when its gradient has other strides than its input.
    const embedded = gelu(channelsLast(convolve(pictures, within(own, 'embed'), 0)))
    let x = channelsFirst(norm(embedded, within(own, 'norm')))
    return Array.from({ length: doublings }, (_, i) => {
      const block = within(own, `blocks.${i}`)
      const up = within(block, 'up')
      x = call('conv_transpose2d.input', x, up('weight'), up('bias'), [2, 2], [1, 1], [0, 0], 1, [1, 1])
      x = channelsFirst(norm(channelsLast(x), within(block, 'norm')))
      x = add(x, convolve(gelu(convolve(x, within(block, 'conv1'), 1)), within(block, 'conv2'), 1))
      return convolve(x, within(block, 'pred'), 0)
    })
  })
}
