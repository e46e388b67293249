/** Dimensions of encoders and decoders, with their checks. */
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
  /** Differences from a plain ViT. */
  readonly variant?: EncoderVariant
}

/** A decoder's own dimensions; `mlpRatio` and `layerNormEpsilon` are the encoder's. */
export interface DecoderDimensions {
  readonly width: number
  readonly depth: number
  readonly heads: number
  /** Width of the group's encoding in positions (128 in SatMAE); read only with groups. */
  readonly groupWidth?: number
  /** Width of each date field's encoding in positions (64 in SatMAE); read only with dates. */
  readonly timeWidth?: number
}

/** A decoder that attends to the encoder's tokens alone (CrossMAE). */
export interface CrossAttentionDimensions extends DecoderDimensions {
  readonly kind: 'cross-attention'
  /** Blocks of the encoder of whose outputs each block reads a mixture, ascending; null: all; none: each reads the final norm's. */
  readonly featureMaps: readonly number[] | null
  /** Whether the input of the encoder's first block is in the mixture, too. */
  readonly useInput: boolean
  /** Share of all tokens that are predicted; null: all hidden ones. */
  readonly decodeRatio?: number | null
}

/** Those of any decoder; the kind is left out by MAE's. */
export type AnyDecoder = (DecoderDimensions & { readonly kind?: 'transformer' }) | CrossAttentionDimensions

/** Of an encoder with its decoder. */
export interface AutoencoderDimensions<D = DecoderDimensions> {
  readonly encoder: EncoderDimensions
  readonly decoder: D
}

/** What a step of pretraining computes: a decoder behind an encoder of kept tokens, or (null) one linear head behind an encoder of all. */
export interface TrainedDimensions {
  readonly encoder: EncoderDimensions
  readonly decoder: AnyDecoder | null
}

/** Larger than any model: bounds for the configurations in untrusted files. */
export const limits = {
  ...{ side: 16_384, patchSize: 1024, channels: 1024, frames: 1024 },
  ...{ width: 16_384, depth: 512, heads: 1024, mlpRatio: 64 },
} as const

/** Variants of a block, as in published encoders. */
export interface BlockOptions {
  /** Default `mlp`. */
  readonly feedForward?: FeedForward
  /** Default: that of the feed-forward. */
  readonly activation?: Activation
  /** H, if not given by `mlpRatio`. */
  readonly hidden?: number
  /** Biases of queries, keys and values; default `all`. */
  readonly qkvBias?: QkvBias
  /** LayerScale of both residual branches (Touvron et al. 2021); default names `ls1.gamma`, `ls2.gamma`. */
  readonly layerScale?: {
    readonly initial: number
    readonly names?: readonly [attention: string, mlp: string]
  } | null
  readonly relativePositions?: RelativePositions | null
  readonly rotaryPositions?: RotaryPositions | null
}

export interface EncoderVariant extends BlockOptions {
  /** Default `clsPrefix`. */
  readonly prefix?: Prefix
  /** A norm `norm_pre` of all tokens before the blocks, as in CLIP. */
  readonly preNorm?: boolean
  /** Whether the patch embedding has a bias; default true, false in CLIP. */
  readonly patchBias?: boolean
  /** A learned query reads the tokens for `pooled`, as in SigLIP. */
  readonly attentionPool?: boolean
  /** E of a projection without bias of the cls token for `pooled`, as in CLIP. */
  readonly projection?: number | null
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

/** Blocks whose outputs a decoder of cross-attention mixes; −1: the input of the first. */
export function featureMapsOf({
  encoder: { depth },
  decoder: { featureMaps, useInput },
}: AutoencoderDimensions<CrossAttentionDimensions>): readonly number[] {
  const blocks = featureMaps ?? Array.from({ length: depth }, (_, i) => i)
  return useInput ? [-1, ...blocks] : blocks
}

export const gridOfModel = (d: EncoderDimensions): Grid => gridOf(d.imageSize, d.patchSize)
/** h·w·C, the values per patch. */
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

/** Throws `SHAPE` for inconsistent dimensions. */
export function checkDimensions(d: EncoderDimensions): void {
  for (const side of d.patchSize) expectInteger('model.patchSize', side, 2)
  expectInteger('model.channels', d.channels)
  gridOfModel(d)
  checkBlocks('model', encoderBlocks(d))
}

export const checkDecoderDimensions = (d: AutoencoderDimensions): void =>
  checkBlocks('decoder', decoderBlocks(d))

/** Throws `VALUE` for feature maps that the encoder does not have, and for those without which some of its blocks would learn nothing. */
export function checkFeatureMaps({
  encoder,
  decoder,
}: AutoencoderDimensions<CrossAttentionDimensions>): void {
  const { featureMaps: blocks, useInput } = decoder
  if (blocks === null) return
  const last = encoder.depth - 1
  if (blocks.length === 0 && useInput)
    throw new SherdError(
      'VALUE',
      'decoder.useInput adds a map to decoder.featureMaps, and there are none: expected false',
    )
  const ascends = blocks.every((block, i) => i === 0 || block > blocks[i - 1]!)
  if (blocks.length > 0 && !(ascends && blocks[0]! >= 0 && blocks.at(-1) === last))
    throw new SherdError(
      'VALUE',
      `decoder.featureMaps: expected numbers of blocks from 0, ascending, the last of them ${last}, since blocks behind it would learn nothing; got ${blocks.join(', ')}`,
    )
}
