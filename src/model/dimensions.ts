/** The dimensions of an encoder and of a decoder, and what must hold between them. */
import { SherdError } from '../errors.ts'
import { type Grid, gridOf, type PatchSize, patchArea } from '../token/grid.ts'
import { clsPrefix, type Prefix } from '../token/prefix.ts'
import { type Activation, type FeedForward, feedForwardOf } from './feed-forward.ts'
import type { QkvBias } from './qkv.ts'
import type { RelativePositions } from './relative-position.ts'
import type { RotaryPositions } from './rotary-position.ts'

export interface EncoderDimensions {
  /** [H, W] in pixels. */
  readonly imageSize: readonly [number, number]
  /** [h, w] in pixels. */
  readonly patchSize: PatchSize
  readonly channels: number
  readonly width: number
  readonly depth: number
  readonly heads: number
  readonly mlpRatio: number
  readonly layerNormEpsilon: number
  /** What it has otherwise than a plain ViT; absent: nothing. */
  readonly variant?: EncoderVariant
}

/** What a decoder of the same block has of its own; `mlpRatio` and `layerNormEpsilon` are the encoder's. */
export interface DecoderDimensions {
  readonly width: number
  readonly depth: number
  readonly heads: number
  /** Numbers of a position that say the group (128 in SatMAE); read only with groups. */
  readonly groupWidth?: number
  /** Numbers of a position for each field of the time (64 in SatMAE); read only with times. */
  readonly timeWidth?: number
}

/** Of an encoder with its decoder. */
export interface AutoencoderDimensions {
  readonly encoder: EncoderDimensions
  readonly decoder: DecoderDimensions
}

/** Sizes that no model has yet: files of strangers, which say what model they are, are refused beyond them. */
export const limits = {
  ...{ side: 16_384, patchSize: 1024, channels: 1024, frames: 1024 },
  ...{ width: 16_384, depth: 512, heads: 1024, mlpRatio: 64 },
} as const

/** What blocks may have otherwise than a plain ViT's: the families of published encoders are rows of it. */
export interface BlockOptions {
  /** `mlp` by default. */
  readonly feedForward?: FeedForward
  /** By default that of the feed-forward. */
  readonly activation?: Activation
  /** H, where it does not follow from `mlpRatio`. */
  readonly hidden?: number
  /** Which of queries, keys and values have a bias: `all` by default. */
  readonly qkvBias?: QkvBias
  /** What both halves of a block are scaled by before they are added (Touvron et al. 2021); `ls1.gamma`, `ls2.gamma` by default. */
  readonly layerScale?: {
    readonly initial: number
    readonly names?: readonly [attention: string, mlp: string]
  } | null
  readonly relativePositions?: RelativePositions | null
  readonly rotaryPositions?: RotaryPositions | null
}

/** What an encoder may have otherwise than a plain ViT. */
export interface EncoderVariant extends BlockOptions {
  /** `clsPrefix` by default. */
  readonly prefix?: Prefix
  /** Whether a norm `norm_pre` of all tokens stands before the blocks, as in CLIP. */
  readonly preNorm?: boolean
}

export const prefixOf = ({ variant }: Pick<EncoderDimensions, 'variant'>): Prefix =>
  variant?.prefix ?? clsPrefix

export interface BlockDimensions extends BlockOptions {
  readonly width: number
  readonly depth: number
  readonly heads: number
  readonly mlpRatio: number
  readonly layerNormEpsilon: number
}

export const encoderBlocks = ({ variant, ...d }: EncoderDimensions): BlockDimensions => ({ ...d, ...variant })
export const decoderBlocks = ({ encoder, decoder }: AutoencoderDimensions): BlockDimensions => ({
  ...encoder,
  ...decoder,
})

export const gridOfModel = (d: EncoderDimensions): Grid => gridOf(d.imageSize, d.patchSize)
/** h·w·C, the numbers in one patch. */
export const patchWidth = (d: EncoderDimensions): number => patchArea(d.patchSize) * d.channels
/** H, the hidden width of a block's feed-forward. */
export const hiddenWidth = (d: BlockDimensions): number =>
  d.hidden ?? feedForwardOf(d).hidden(d.width, d.mlpRatio)

function expectInteger(key: string, value: number, least = 1): void {
  if (!Number.isInteger(value) || value < least)
    throw new SherdError('SHAPE', `${key}: expected an integer of at least ${least}, got ${value}`)
}

function checkBlocks(group: 'model' | 'decoder', blocks: BlockDimensions): void {
  const { width, heads, mlpRatio } = blocks
  for (const key of ['width', 'depth', 'heads'] as const) expectInteger(`${group}.${key}`, blocks[key])
  if (width % heads !== 0)
    throw new SherdError('SHAPE', `${group}.width ${width} is not divisible by ${group}.heads ${heads}`)
  if (!(mlpRatio > 0) || hiddenWidth(blocks) < 1)
    throw new SherdError(
      'SHAPE',
      `model.mlpRatio: expected a positive number that leaves at least one hidden unit, got ${mlpRatio}`,
    )
}

/** Throws `SHAPE` when the dimensions do not fit together, saying which and why. */
export function checkDimensions(d: EncoderDimensions): void {
  for (const side of d.patchSize) expectInteger('model.patchSize', side, 2)
  expectInteger('model.channels', d.channels)
  gridOfModel(d)
  checkBlocks('model', encoderBlocks(d))
}

/** The same of a decoder. */
export const checkDecoderDimensions = (d: AutoencoderDimensions): void =>
  checkBlocks('decoder', decoderBlocks(d))
