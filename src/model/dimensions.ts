/** Every dimension of a masked autoencoder, named as in `reference/FORMAT.md`, and what must hold between them. */
import { SherdError } from '../errors.ts'
import { type Grid, gridOf } from '../token/grid.ts'

export interface Dimensions {
  /** [H, W] in pixels. */
  readonly imageSize: readonly [number, number]
  readonly patchSize: number
  readonly channels: number
  readonly width: number
  readonly depth: number
  readonly heads: number
  readonly decoderWidth: number
  readonly decoderDepth: number
  readonly decoderHeads: number
  readonly mlpRatio: number
  readonly layerNormEpsilon: number
}

/** Sizes that no model has yet: files of strangers, which say what model they are, are refused beyond them. */
export const limits = {
  ...{ side: 16_384, patchSize: 1024, channels: 1024, frames: 1024 },
  ...{ width: 16_384, depth: 512, heads: 1024, mlpRatio: 64 },
} as const

export interface BlockDimensions {
  readonly width: number
  readonly depth: number
  readonly heads: number
  readonly mlpRatio: number
  readonly layerNormEpsilon: number
}

export const encoderBlocks = (d: Dimensions): BlockDimensions => d
export const decoderBlocks = (d: Dimensions): BlockDimensions => ({
  ...d,
  width: d.decoderWidth,
  depth: d.decoderDepth,
  heads: d.decoderHeads,
})

export const gridOfModel = (d: Dimensions): Grid => gridOf(d.imageSize, d.patchSize)
/** P·P·C, the numbers in one patch. */
export const patchWidth = (d: Dimensions): number => d.patchSize * d.patchSize * d.channels
/** The hidden width of a block's MLP. */
export const mlpWidth = (d: BlockDimensions): number => Math.floor(d.width * d.mlpRatio)

/** Throws `SHAPE` when the dimensions do not fit together, saying which and why. */
export function checkDimensions(d: Dimensions): void {
  const integers = [
    'patchSize',
    'channels',
    'width',
    'depth',
    'heads',
    'decoderWidth',
    'decoderDepth',
    'decoderHeads',
  ] as const
  for (const key of integers) {
    const least = key === 'patchSize' ? 2 : 1
    if (!Number.isInteger(d[key]) || d[key] < least) {
      throw new SherdError('SHAPE', `model.${key}: expected an integer of at least ${least}, got ${d[key]}`)
    }
  }
  gridOfModel(d)
  for (const [widthKey, headsKey] of [
    ['width', 'heads'],
    ['decoderWidth', 'decoderHeads'],
  ] as const) {
    if (d[widthKey] % d[headsKey] !== 0) {
      throw new SherdError(
        'SHAPE',
        `model.${widthKey} ${d[widthKey]} is not divisible by model.${headsKey} ${d[headsKey]}`,
      )
    }
  }
  if (!(d.mlpRatio > 0) || mlpWidth(encoderBlocks(d)) < 1 || mlpWidth(decoderBlocks(d)) < 1) {
    throw new SherdError(
      'SHAPE',
      `model.mlpRatio: expected a positive number that leaves at least one hidden unit, got ${d.mlpRatio}`,
    )
  }
}
