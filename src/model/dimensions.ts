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
  const parts = { model: encoderBlocks(d), decoder: decoderBlocks(d) }
  const expectInteger = (key: string, value: number, least = 1) => {
    if (!Number.isInteger(value) || value < least)
      throw new SherdError('SHAPE', `${key}: expected an integer of at least ${least}, got ${value}`)
  }
  expectInteger('model.patchSize', d.patchSize, 2)
  expectInteger('model.channels', d.channels)
  for (const [group, blocks] of Object.entries(parts))
    for (const key of ['width', 'depth', 'heads'] as const) expectInteger(`${group}.${key}`, blocks[key])
  gridOfModel(d)
  for (const [group, { width, heads }] of Object.entries(parts))
    if (width % heads !== 0)
      throw new SherdError('SHAPE', `${group}.width ${width} is not divisible by ${group}.heads ${heads}`)
  if (!(d.mlpRatio > 0) || mlpWidth(encoderBlocks(d)) < 1 || mlpWidth(decoderBlocks(d)) < 1) {
    throw new SherdError(
      'SHAPE',
      `model.mlpRatio: expected a positive number that leaves at least one hidden unit, got ${d.mlpRatio}`,
    )
  }
}
