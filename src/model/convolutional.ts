/**
 * The two halves of a convolutional VQ-VAE (van den Oord et al. 2017, section 4.1): strided convolutions of 4 × 4 down to one vector for each
 * patch, a convolution of 3 × 3 and residual blocks (ReLU, 3 × 3, ReLU, 1 × 1); and the mirror of it, with transposed convolutions. Channels double with
 * each halving of the sides, up to the width at the grid of the patches.
 */
import { SherdError } from '../errors.ts'
import { call } from '../tensor/call.ts'
import { withoutAutocast } from '../tensor/context.ts'
import { add } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { PatchSize } from '../token/grid.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

export interface ConvolutionalShape {
  /** C */
  readonly channels: number
  /** [h, w], equal powers of two. */
  readonly patchSize: PatchSize
  /** W, the channels at the grid of the patches. */
  readonly width: number
  /** E, the numbers of a place between the halves. */
  readonly between: number
  /** Residual blocks of each half. */
  readonly depth: { readonly encoder: number; readonly decoder: number }
}

function rowsOf(
  name: string,
  shape: readonly [number, number, number, number],
  output: number,
): ParameterRow[] {
  return [
    { name: `${name}.weight`, shape, initial: 'xavier' },
    { name: `${name}.bias`, shape: [output], initial: 'zeros' },
  ]
}
const convolution = (name: string, output: number, input: number, side: number) =>
  rowsOf(name, [output, input, side, side], output)
/** Its weight has the input first. */
const transposed = (name: string, output: number, input: number) =>
  rowsOf(name, [input, output, 4, 4], output)

/** Channels from the image to the grid: of 4 × 4 patches [C, W / 2, W]. Throws `CONFIG` for patches or widths that cannot be halved so. */
function channelsOf({ channels, patchSize: [h, w], width }: ConvolutionalShape): readonly number[] {
  const halvings = Math.log2(h)
  if (h !== w || !Number.isInteger(halvings) || halvings < 1)
    throw new SherdError(
      'CONFIG',
      `model.patchSize: convolutions halve the sides of an image, so that a patch is a square of 2, 4, 8, 16 … pixels, got ${h} × ${w}`,
    )
  const least = 2 ** (halvings - 1)
  if (width % least !== 0)
    throw new SherdError(
      'CONFIG',
      `model.width: expected a multiple of ${least}, since channels are halved ${halvings - 1} times towards the image, got ${width}`,
    )
  return [channels, ...Array.from({ length: halvings }, (_, i) => width / 2 ** (halvings - 1 - i))]
}

const blocksOf = (name: string, width: number, depth: number): ParameterRow[] =>
  Array.from({ length: depth }, (_, i) => `${name}.blocks.${i}`).flatMap((block) => [
    ...convolution(`${block}.conv1`, width, width, 3),
    ...convolution(`${block}.conv2`, width, width, 1),
  ])

export function convolutionalRows(shape: ConvolutionalShape): ParameterRow[] {
  const { width, between, depth } = shape
  const channels = channelsOf(shape)
  const pairs = channels.slice(1).map((output, i) => [channels[i]!, output] as const)
  return [
    ...pairs.flatMap(([input, output], i) => convolution(`encoder.down.${i}`, output, input, 4)),
    ...convolution('encoder.conv', width, width, 3),
    ...blocksOf('encoder', width, depth.encoder),
    ...convolution('encoder.out', between, width, 1),
    ...convolution('decoder.in', width, between, 3),
    ...blocksOf('decoder', width, depth.decoder),
    ...pairs.toReversed().flatMap(([output, input], i) => transposed(`decoder.up.${i}`, output, input)),
  ]
}

/** On a CPU these convolutions and their gradients take some 18 times as long in bfloat16: 2.0 s for a step of 32 images, and 0.11 s. */
const inFastType = (x: Tensor, body: () => Tensor): Tensor =>
  x.device === 'cpu' ? withoutAutocast('cpu', () => scope(body)) : scope(body)

const relu = (x: Tensor) => call('relu', x)
const convolve = (x: Tensor, w: Weights, stride: number, padding: number) =>
  call('conv2d', x, w('weight'), w('bias'), [stride, stride], [padding, padding], [1, 1], 1)

function residual(x: Tensor, weights: Weights, depth: number): Tensor {
  let made = x
  for (let i = 0; i < depth; i++) {
    const block = within(weights, `blocks.${i}`)
    const before = made
    made = scope(() => {
      const hidden = convolve(relu(before), within(block, 'conv1'), 1, 1)
      return add(before, convolve(relu(hidden), within(block, 'conv2'), 1, 0))
    })
  }
  return relu(made)
}

/** Images [B, C, H, W] → [B, E, h, w] of the grid. */
export const shrinkToCodes = (images: Tensor, weights: Weights, shape: ConvolutionalShape): Tensor =>
  inFastType(images, () => {
    const own = within(weights, 'encoder')
    const down = channelsOf(shape).slice(1)
    const x = down.reduce((x, _, i) => relu(convolve(x, within(own, `down.${i}`), 2, 1)), images)
    const made = residual(convolve(x, within(own, 'conv'), 1, 1), own, shape.depth.encoder)
    return convolve(made, within(own, 'out'), 1, 0)
  })

/** And back: [B, E, h, w] → [B, C, H, W]. */
export const growFromCodes = (vectors: Tensor, weights: Weights, shape: ConvolutionalShape): Tensor =>
  inFastType(vectors, () => {
    const own = within(weights, 'decoder')
    const ups = channelsOf(shape).slice(1)
    const x = residual(convolve(vectors, within(own, 'in'), 1, 1), own, shape.depth.decoder)
    return ups.reduce((x, _, i) => {
      const up = within(own, `up.${i}`)
      const made = call(
        'conv_transpose2d.input',
        x,
        up('weight'),
        up('bias'),
        [2, 2],
        [1, 1],
        [0, 0],
        1,
        [1, 1],
      )
      return i < ups.length - 1 ? relu(made) : made
    }, x)
  })
