/** What says the class of every patch from its features: the heads of segmentation, by name. */

import { call } from '../tensor/call.ts'
import { div, gelu, layerNorm, linear, permute, reshape, sub } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import type { Grid } from '../token/grid.ts'
import { type ParameterRow, type Parameters, type Weights, within } from './parameters.ts'

export interface SegmentationShape {
  readonly classes: number
  /** D */
  readonly width: number
  readonly grid: Grid
  /** [H, W] of the masks. */
  readonly size: readonly [number, number]
  /** The number in a mask that belongs to no class. */
  readonly ignored: number
}

export interface Head {
  readonly title: string
  readonly rows: (shape: SegmentationShape) => ParameterRow[]
  /** x [B, N, D] → [B, N, classes] */
  readonly apply: (x: Tensor, weights: Weights, shape: SegmentationShape) => Tensor
}

const CHANNELS = 256 // of the convolutional head, as in FCN heads of common use
const EPSILON = 1e-6

const linearRows = (name: string, [out, into]: readonly [number, number]): ParameterRow[] => [
  { name: `${name}.weight`, shape: [out, into], initial: 'token' },
  { name: `${name}.bias`, shape: [out], initial: 'zeros' },
]
const applyRows = (x: Tensor, weights: Weights) => linear(x, weights('weight'), weights('bias'))

/** The heads by name: a new one is one row. */
export const segmentationHeads = {
  linear: {
    title: 'one linear map for each patch',
    rows: ({ classes, width }) => linearRows('classify', [classes, width]),
    apply: (x, weights) => applyRows(x, within(weights, 'classify')),
  },
  conv: {
    title: `a convolution of 3 × 3 patches to ${CHANNELS} channels, layer norm, GELU, a linear map`,
    rows: ({ classes, width }) => [
      { name: 'conv.weight', shape: [CHANNELS, width, 3, 3], initial: 'xavier' },
      { name: 'conv.bias', shape: [CHANNELS], initial: 'zeros' },
      { name: 'norm.weight', shape: [CHANNELS], initial: 'ones' },
      { name: 'norm.bias', shape: [CHANNELS], initial: 'zeros' },
      ...linearRows('classify', [classes, CHANNELS]),
    ],
    apply: (x, weights, { grid }) => {
      const [B, N, D] = x.shape as readonly [number, number, number]
      const picture = reshape(permute(x, [0, 2, 1]), [B, D, grid.h, grid.w])
      const convolved = call(
        'conv2d',
        ...[picture, weights('conv.weight'), weights('conv.bias'), [1, 1], [1, 1], [1, 1], 1],
      )
      const rows = permute(reshape(convolved, [B, CHANNELS, N]), [0, 2, 1])
      const normed = layerNorm(rows, weights('norm.weight'), weights('norm.bias'), EPSILON)
      return applyRows(gelu(normed), within(weights, 'classify'))
    },
  },
} satisfies Record<string, Head>

export type SegmentationHead = keyof typeof segmentationHeads

/** Mean and deviation [D] of every channel over all tokens: a batch norm without affine parameters, of the whole set. */
export interface TokenStatistics {
  readonly mean: Tensor
  readonly deviation: Tensor
}

/** What training and predicting share. */
export interface Segmentation {
  readonly shape: SegmentationShape
  /** Of the training images. */
  readonly statistics: TokenStatistics
  readonly device: Device
}

/** A head that has learned. */
export interface TrainedHead {
  readonly head: SegmentationHead
  readonly parameters: Parameters
}

/** The logits [B, classes, H, W] of tokens [B, N, D]: the head's, enlarged bilinearly. */
export function pixelLogits(
  tokens: Tensor,
  weights: Weights,
  head: SegmentationHead,
  { shape, statistics }: Pick<Segmentation, 'shape' | 'statistics'>,
): Tensor {
  const { grid, classes, size } = shape
  return scope(() => {
    const x = div(sub(tokens, statistics.mean), statistics.deviation)
    const logits = segmentationHeads[head].apply(x, weights, shape)
    const picture = reshape(permute(logits, [0, 2, 1]), [tokens.shape[0]!, classes, grid.h, grid.w])
    return call('upsample_bilinear2d', picture, size, false, null, null)
  })
}
