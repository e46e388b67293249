/**
 * The encoder as a whole: from views (images, groups of bands, series of dates) to tokens.
 * Pretraining, probes, fine-tuning and segmentation use the same one. Its shape defines the tokens.
 */
import { SherdError } from '../errors.ts'
import type { View } from '../prepare/view.ts'
import { call } from '../tensor/call.ts'
import { arange, expand, gather, narrow, toDevice } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { type Device, fromArray, type Tensor } from '../tensor/tensor.ts'
import { type Grid, tokenCount } from '../token/grid.ts'
import { layoutTokens, placeCount, type TokenLayout } from '../token/layout.ts'
import { presentTokens } from '../token/mask-design.ts'
import { patchifyGroups, patchifyValid } from '../token/patchify.ts'
import { positionedLength } from '../token/prefix.ts'
import { type ResamplingName, resamplePositions } from '../token/resample-positions.ts'
import {
  openPositions,
  type PositionOptions,
  type PositionWidths,
  rowsOf,
} from '../token/sample-positions.ts'
import type { TimeField } from '../token/sine-cosine.ts'
import { checkGroups, type SpectralGroups } from '../token/spectral-groups.ts'
import { take } from '../token/take.ts'
import {
  checkDecoderDimensions,
  checkDimensions,
  type DecoderDimensions,
  type EncoderDimensions,
  gridOfModel,
  prefixOf,
} from './dimensions.ts'
import { type Encoded, type EncodeOptions, encodeTokens } from './encoder.ts'
import { type BandGroup, bandGroups, embedGroups, groupedEncoderRows } from './group-layers.ts'
import type { ParameterRow, Weights } from './parameters.ts'

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
  /** Computed positions, or a parameter `pos_embed` [N, D], as in other programs' models. */
  readonly positions: 'fixed' | 'learned'
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

const learnedGridOf = (shape: BackboneShape): Grid => shape.learnedGrid ?? gridOfModel(shape.dimensions)

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
  if (positionedLength(prefixOf(dimensions)) > 0 && shape.positions !== 'learned')
    throw new SherdError('VALUE', 'Prefix tokens with a position: expected model.positions "learned"')
  if (shape.positions === 'fixed') checkWidths('model', encoderWidths(shape), shape)
}

export const backboneRows = (shape: BackboneShape): ParameterRow[] => [
  ...groupedEncoderRows(shape.dimensions, groupsOf(shape)),
  ...(shape.positions === 'learned' ? [learnedPositions(shape)] : []),
]

const learnedPositions = (shape: BackboneShape): ParameterRow => ({
  ...{ name: 'pos_embed', initial: 'token' },
  shape: [
    positionedLength(prefixOf(shape.dimensions)) + tokenCount(learnedGridOf(shape)),
    shape.dimensions.width,
  ],
})

/** A view cut into patches. */
export interface CutView {
  readonly view: View
  /** Of each group [B, places, P·P·|g|]. */
  readonly patches: readonly Tensor[]
  /** [B, places, P·P] 1 for data; null if all pixels have data. */
  readonly valid: Tensor | null
  /** [B, N] 1 for tokens with any data, else 0; null if all have. */
  readonly present: Tensor | null
}

export interface EncodeKeptOptions extends Omit<EncodeOptions, 'present' | 'kept' | 'grid'> {
  readonly embed?: 'kept' | 'all' | undefined
}

export interface EncodeAllOptions extends Omit<EncodeOptions, 'present' | 'kept' | 'grid'> {
  /** Indices of groups; null for all. */
  readonly only?: readonly number[] | null
  /** Of all tokens, [N, D] or [B, N, D]; default: computed from the views. */
  readonly positions?: Tensor | undefined
}

export interface Backbone {
  readonly shape: BackboneShape
  readonly layout: TokenLayout
  readonly groups: readonly BandGroup[]
  readonly rows: readonly ParameterRow[]
  /** Throws `SHAPE` for images of another size. */
  cut(view: View): CutView
  /**
   * The latent of the tokens `kept` [B, K], which all hold data. `embed`: embeds the kept tokens only, or all of them before gathering; with
   * `all` no shape depends on the mask, for tracing. The results are equal.
   */
  encodeKept(cut: CutView, kept: Tensor, weights: Weights, options?: EncodeKeptOptions): Encoded
  /** All tokens, or those of some groups, unmasked. Tokens without data are excluded from attention. */
  encodeAll(view: View, weights: Weights, options?: EncodeAllOptions): Encoded
}

/** Throws `SHAPE` or `VALUE` for a shape that does not fit together. */
export function openBackbone(shape: BackboneShape, device: Device): Backbone {
  checkBackbone(shape)
  const { dimensions: d, frames } = shape
  const layout = layoutOf(shape)
  const groups = groupsOf(shape)
  const places = placeCount(layout)
  const N = layoutTokens(layout)
  const positionsOf =
    shape.positions === 'fixed' ? openPositions(positionOptions(shape), encoderWidths(shape), device) : null
  const change = { from: learnedGridOf(shape), to: layout.grid, by: shape.resampling ?? 'cubic' }

  const cut = (view: View): CutView => {
    const [B] = expectShape(view.pixels, ['B', frames, d.channels, ...d.imageSize], 'images')
    const patches = patchifyGroups(
      view.pixels,
      groups.map(({ bands }) => bands),
      d.patchSize,
    )
    if (!view.valid) return { view, patches, valid: null, present: null }
    expectShape(view.valid, [B, frames, ...d.imageSize], 'images: valid')
    const valid = patchifyValid(view.valid, d.patchSize)
    return { view, patches, valid, present: presentTokens(valid, groups.length) }
  }
  // Tokens x that are the ones `which` [B, K] of all.
  const placed = ({ view }: CutView, x: Tensor, which: Tensor, weights: Weights) => {
    if (!positionsOf) {
      const [table, R] = [resamplePositions(weights('pos_embed'), change), positionedLength(prefixOf(d))]
      if (R === 0) return { x, positions: table, kept: which }
      return { x, positions: narrow(table, 0, R, N), kept: which, prefixPositions: narrow(table, 0, 0, R) }
    }
    const where = positionsOf(view, view.pixels.shape[0]!)
    return { x, positions: where.table, kept: rowsOf(where, which) }
  }
  return {
    ...{ shape, layout, groups, rows: backboneRows(shape), cut },
    encodeKept(made, kept, weights, { embed = 'kept', ...options } = {}) {
      const embedded = () =>
        embed === 'all'
          ? take(embedGroups(made.patches, null, groups, weights), kept)
          : embedGroups(made.patches, kept, groups, weights)
      return encodeTokens(() => placed(made, embedded(), kept, weights), weights, d, { ...options, kept })
    },
    encodeAll: (view, weights, { only = null, positions, ...options } = {}) =>
      scope(() => {
        const made = cut(view)
        const B = made.view.pixels.shape[0]!
        const numbers = only?.flatMap((g) => Array.from({ length: places }, (_, p) => g * places + p))
        const row = numbers
          ? toDevice(fromArray(BigInt64Array.from(numbers, BigInt), [numbers.length], 'int64'), device)
          : arange(N, { dtype: 'int64', device })
        const K = row.shape[0]!
        const which = expand(row, [B, K])
        const present =
          made.present && (numbers ? gather(made.present, 1, call('contiguous', which)) : made.present)
        const seen = only ?? groups.map((_, g) => g)
        const [own, theirs] = [seen.map((g) => made.patches[g]!), seen.map((g) => groups[g]!)]
        const embedded = () => {
          const x = embedGroups(own, null, theirs, weights)
          return positions ? { x, positions, kept: null } : placed(made, x, which, weights)
        }
        return encodeTokens(embedded, weights, d, { ...options, present })
      }),
  }
}
