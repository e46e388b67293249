/** What the tokens of a model are: patches, groups of bands, frames, and where their positions come from; and what must hold between them. */
import { SherdError } from '../errors.ts'
import type { Grid } from '../token/grid.ts'
import { layoutTokens, type TokenLayout } from '../token/layout.ts'
import { positionedLength } from '../token/prefix.ts'
import type { ResamplingName } from '../token/resample-positions.ts'
import type { PositionOptions, PositionWidths } from '../token/sample-positions.ts'
import type { TimeField } from '../token/sine-cosine.ts'
import { checkGroups, type SpectralGroups } from '../token/spectral-groups.ts'
import {
  checkDecoderDimensions,
  checkDimensions,
  type DecoderDimensions,
  type EncoderDimensions,
  gridOfModel,
  prefixOf,
} from './dimensions.ts'
import { type BandGroup, bandGroups } from './stem/patch-embedding.ts'

export interface BackboneShape {
  /** `channels`: all bands of the views, including those in no group. */
  readonly dimensions: EncoderDimensions
  /** T */
  readonly frames: number
  /** Channel indices of the bands that share a token; null: all channels do. */
  readonly groups: SpectralGroups | null
  /** Width of the group's encoding in positions (256 in SatMAE); read only with groups. */
  readonly groupWidth: number
  /** Date fields encoded into each token, with the width per field (128 in SatMAE). */
  readonly time: { readonly fields: readonly TimeField[]; readonly width: number } | null
  /** Metres per pixel at scale 1 (Scale-MAE); null if positions do not depend on the scale. */
  readonly referenceResolution: number | null
  /** Computed positions, a parameter `pos_embed` [N, D], as in other programs' models, or none that are added to tokens. */
  readonly positions: 'fixed' | 'learned' | 'none'
  /** Of learned positions: the grid that `pos_embed` is for, where the images have another, and how it is brought to theirs (`cubic`). */
  readonly learnedGrid?: Grid
  readonly resampling?: ResamplingName
}

/** Plain images: one frame, one group. */
export const plainBackbone = (dimensions: EncoderDimensions): BackboneShape => ({
  ...{ dimensions, frames: 1, groups: null, groupWidth: 0 },
  ...{ time: null, referenceResolution: null, positions: 'fixed' },
})

/** The same parameters for images of another size: learned positions are resampled inside the graph. */
export const backboneAt = (shape: BackboneShape, imageSize: readonly [number, number]): BackboneShape => ({
  ...{ ...shape, dimensions: { ...shape.dimensions, imageSize } },
  ...(shape.positions === 'learned' && { learnedGrid: learnedGridOf(shape) }),
})

/** The grid that `pos_embed` is for. */
export const learnedGridOf = (shape: BackboneShape): Grid =>
  shape.learnedGrid ?? gridOfModel(shape.dimensions)

export const layoutOf = ({ dimensions, frames, groups }: BackboneShape): TokenLayout => ({
  ...{ grid: gridOfModel(dimensions), frames, groups: groups?.length ?? 1 },
})

export const groupsOf = ({ groups, dimensions }: BackboneShape): readonly BandGroup[] =>
  bandGroups(groups, dimensions.channels)

export const positionOptions = (shape: BackboneShape): PositionOptions => ({
  layout: layoutOf(shape),
  fields: shape.time?.fields ?? [],
  referenceResolution: shape.referenceResolution,
})

/** Widths of the parts of a position. */
export const encoderWidths = ({ dimensions, groups, groupWidth, time }: BackboneShape): PositionWidths => ({
  ...{ width: dimensions.width, groupWidth: groups ? groupWidth : 0, timeWidth: time?.width ?? 0 },
})
export const decoderWidths = (
  { groups, time }: Pick<BackboneShape, 'groups' | 'time'>,
  { width, groupWidth = 0, timeWidth = 0 }: DecoderDimensions,
): PositionWidths => ({ width, groupWidth: groups ? groupWidth : 0, timeWidth: time ? timeWidth : 0 })

function checkWidths(
  of: 'model' | 'decoder',
  { width, groupWidth, timeWidth }: PositionWidths,
  shape: BackboneShape,
): void {
  const fields = shape.time?.fields.length ?? 0
  const isEven = (n: number) => n >= 2 && n % 2 === 0
  const left = width - groupWidth - fields * timeWidth
  if (left === width && left % 4 !== 0)
    throw new SherdError(
      'SHAPE',
      `${of}.width ${width} is not a multiple of 4, which sine–cosine positions need`,
    )
  if (
    (shape.groups && !isEven(groupWidth)) ||
    (fields > 0 && !isEven(timeWidth)) ||
    left < 4 ||
    left % 4 !== 0
  )
    throw new SherdError(
      'SHAPE',
      `Of a width of ${width}, ${of}.groupWidth ${groupWidth} and ${fields} × ${of}.timeWidth ${timeWidth} leave ${left} for the place: ` +
        'expected even numbers that leave a positive multiple of 4',
    )
}

/** Per sample: 4096 × 4096 pixels in patches of 16. */
const MAX_TOKENS = 65_536
/** In a table of positions: a gigabyte. */
const MAX_POSITIONS = 2 ** 28

function checkTokens(shape: BackboneShape, width: number): void {
  const tokens = layoutTokens(layoutOf(shape))
  if (tokens > MAX_TOKENS || tokens * width > MAX_POSITIONS)
    throw new SherdError(
      'SHAPE',
      `An image of ${shape.dimensions.imageSize.join(' × ')} pixels is ${tokens} tokens of up to ${width} numbers: at most ${MAX_TOKENS} tokens, and ${MAX_POSITIONS} numbers together, are supported. Take a smaller model.imageSize or larger model.patchSize.`,
    )
}

/** Throws `SHAPE` if a decoder does not fit the encoder. */
export function checkDecoder(shape: BackboneShape, decoder: DecoderDimensions): void {
  checkDecoderDimensions({ encoder: shape.dimensions, decoder })
  checkTokens(shape, decoder.width)
  checkWidths('decoder', decoderWidths(shape, decoder), shape)
}

/** Throws `SHAPE` or `VALUE` for an inconsistent shape. */
export function checkBackbone(shape: BackboneShape): void {
  const { dimensions, frames, groups } = shape
  checkDimensions(dimensions)
  if (!Number.isInteger(frames) || frames < 1)
    throw new SherdError('SHAPE', `model.frames: expected an integer of at least 1, got ${frames}`)
  checkTokens(shape, dimensions.width)
  if (groups) checkGroups(groups, dimensions.channels)
  const isPlain = frames === 1 && !groups && !shape.time && shape.referenceResolution === null
  if (shape.positions === 'learned' && !isPlain)
    throw new SherdError(
      'VALUE',
      'model.positions "learned": expected one frame, no groups of bands, no time and no scale, which only computed positions know',
    )
  const { relativePositions: relative, rotaryPositions: rotary } = dimensions.variant ?? {}
  if ((relative || rotary) && (!isPlain || (relative && rotary)))
    throw new SherdError(
      'VALUE',
      'Relative or rotary positions: expected one of them, and one frame, no groups of bands, no time and no scale, which they do not know',
    )
  if (shape.positions === 'none' && !relative && !rotary)
    throw new SherdError(
      'VALUE',
      'model.positions "none": expected model.relativePositions or model.rotaryPeriods, without which an encoder does not know where a patch is',
    )
  if (rotary && 4 * rotary.periods.length * dimensions.heads !== dimensions.width)
    throw new SherdError(
      'SHAPE',
      `model.rotaryPeriods: expected ${dimensions.width / dimensions.heads / 4} periods, a quarter of a head's ${dimensions.width / dimensions.heads} numbers, got ${rotary.periods.length}`,
    )
  if (positionedLength(prefixOf(dimensions)) > 0 && shape.positions !== 'learned')
    throw new SherdError('VALUE', 'Prefix tokens with a position: expected model.positions "learned"')
  if (shape.positions === 'fixed') checkWidths('model', encoderWidths(shape), shape)
}
