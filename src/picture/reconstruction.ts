/**
 * What a masked autoencoder rebuilds, shown honestly. A model of normalised pixels predicts no absolute brightness: mean
 * and deviation of every hidden patch must come from somewhere, and taking the true ones leaks part of the answer. So
 * every reconstruction is named by the statistics it used, and visible patches are pasted from the original.
 */

import { SherdError } from '../errors.ts'
import { type BackboneShape, layoutOf } from '../model/backbone-shape.ts'
import { gridOfModel, patchWidth } from '../model/dimensions.ts'
import type { Weights } from '../model/parameters.ts'
import type { MaskedObjective } from '../objective/masked.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import type { View } from '../prepare/view.ts'
import {
  cutPatches,
  groupedBands,
  guessed,
  hiddenBands,
  momentsByBand,
  withMoments,
} from '../target/band-patches.ts'
import type { BandStatistics } from '../target/band-pixels.ts'
import { checkStatistics, type StatisticsUsed } from '../target/patch-statistics.ts'
import { hiddenQuality } from '../target/reconstruction-quality.ts'
import type { Exposure, ShownOf } from '../target/showing.ts'
import { call } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { add, expand, mul, ones, reshape, sub, sum, toDevice, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { item, type Tensor, tensor, toFloats } from '../tensor/tensor.ts'
import { layoutTokens, placeCount } from '../token/layout.ts'
import { type MaskPlan, planMasks } from '../token/mask.ts'
import { unpatchify } from '../token/patchify.ts'
import {
  type RasterLook,
  type RebuiltValues,
  type Reconstruction,
  showImages,
  showRasters,
} from './rebuilt-tiles.ts'
import { predictedPlaces, type ShownColumns, shownColumns } from './shown-tiles.ts'
import { bandsNote, type Tile } from './tile.ts'

interface Pictured {
  readonly shape: BackboneShape
  /** Normalised by `channelStatistics`. */
  readonly view: View
  readonly channelStatistics: ChannelStatistics
  /** How rasters are shown; images are shown as they are. */
  readonly look?: RasterLook
  /** By default `neighbours` and `true` for normalised targets, `raw` for others. */
  readonly statistics?: readonly StatisticsUsed[]
}

export interface ExposureOptions extends Pictured {
  readonly exposure: Exposure
}

export interface ReconstructionOptions extends Pictured {
  readonly objective: Pick<MaskedObjective, 'predict'>
  readonly weights: Weights
  readonly plan: MaskPlan
  /** Whether the model was trained on targets that are normalised patch by patch. */
  readonly normalizeTarget: boolean
  /** By what they were normalised; `group` by default. */
  readonly bandStatistics?: BandStatistics
}

export interface Reconstructions {
  readonly images: readonly Reconstruction[]
  /** How many samples they are of. */
  readonly samples: number
  /** Of all tokens; null: nothing is hidden. */
  readonly hiddenShare: number | null
  /** Which channels the tiles show, where that is not all of them and rows do not say it. */
  readonly bands: string | null
  /** Of what rows show beside images (`Reconstruction.shown`). */
  readonly more?: Pick<ShownColumns, 'columns' | 'legend'> & { readonly footers: readonly string[] }
  /** Of predicted tokens, where errors are shown: the greatest of a place, and the mean. */
  readonly errors?: { readonly most: number; readonly mean: number }
}

/** Rebuilds every image. Throws `SHAPE` for other sizes, `VALUE` for statistics that the target does not have. */
export const reconstruct = ({
  objective,
  weights,
  plan,
  ...options
}: ReconstructionOptions): Reconstructions =>
  noGrad(() =>
    scope(() => {
      const [B] = plan.kept.shape
      expectShape(plan.kept, [B!, 'K'], 'reconstruct: plan.kept')
      expectShape(plan.hidden, [B!, 'M'], 'reconstruct: plan.hidden')
      expectImages(options)
      expectShape(plan.restore, [B!, layoutTokens(layoutOf(options.shape))], 'reconstruct: plan.restore')
      const { normalizeTarget, bandStatistics = 'group', view } = options
      const { prediction } = objective.predict(weights, view, plan)
      const said: ShownOf<'pixels'> = {
        ...{ kind: 'pixels', said: prediction },
        statistics: normalizeTarget ? bandStatistics : null,
      }
      return showExposure({ ...options, exposure: { ...planMasks(plan), shown: [said] } })
    }),
  )

function expectImages({ shape, view }: Pick<Pictured, 'shape' | 'view'>): number {
  const { dimensions: d, frames } = shape
  const [height, width] = d.imageSize
  return expectShape(view.pixels, ['B', frames, d.channels, height, width], 'reconstruct: images')[0]!
}

type Cut = ReturnType<typeof cutPatches>

interface Scenery {
  readonly cut: Cut
  readonly units: ReturnType<typeof unitsOf>
  /** [B, places, 1, C] what is hidden, and what is predicted. */
  readonly hidden: Tensor | null
  readonly predicted: Tensor
}

/** Pixels with the statistics that were asked for, of what is predicted; the rest is pasted. */
function rebuilt(
  { said, statistics }: ShownOf<'pixels'>,
  { cut, units, hidden, predicted }: Scenery,
  { shape, statistics: asked }: Pictured,
) {
  const isNormalised = statistics !== null
  const wanted = asked ?? (isNormalised ? ['neighbours', 'true'] : ['raw'])
  checkStatistics(wanted, isNormalised)
  const values = reshape(onCpu(said), cut.truth.shape)
  const by = statistics ?? 'group'
  const nothing = () => mul(predicted, 0)
  const neighbours = () => {
    const seen = hidden ?? nothing()
    return withMoments(values, guessed(momentsByBand(cut, by, seen), seen, layoutOf(shape)))
  }
  const rebuild = {
    ...{ raw: () => values, neighbours },
    true: () => withMoments(values, momentsByBand(cut, by)),
  } satisfies Record<StatisticsUsed, () => Tensor>
  const isPredicted = call('gt.Scalar', predicted, 0)
  const scored = mul(predicted, groupedBands(cut.groups, shape.dimensions.channels)) // a band that no group has is not predicted
  const counted = cut.valid ? mul(scored, cut.valid) : expand(scored, cut.truth.shape)
  return wanted.map((used) => {
    const whole = call('where.self', isPredicted, rebuild[used](), cut.truth)
    const quality = hiddenQuality(units.unit(cut.truth), units.unit(whole), counted)
    return { statistics: used, whole: units.physical(whole), quality }
  })
}

const onCpu = (x: Tensor) => toDevice(toDtype(x, 'float32'), 'cpu')

/** Originals, masked images, and what an objective made of them. Throws as `reconstruct`. */
export function showExposure(options: ExposureOptions): Reconstructions {
  const { shape, view, look, exposure } = options
  const { dimensions: d, frames } = shape
  const layout = layoutOf(shape)
  const [height, width] = d.imageSize
  checkChannels(options)
  if (frames > 1 && !look)
    throw new SherdError(
      'VALUE',
      'reconstruct: samples of several frames are shown by composites; give `look`.',
    )

  return noGrad(() =>
    scope(() => {
      const B = expectImages(options)
      const N = layoutTokens(layout)
      const cut = cutPatches(shape, onCpu(view.pixels), view.valid && onCpu(view.valid))
      const bandsOf = (mask: Tensor) => hiddenBands(mask, cut.groups, d.channels, placeCount(layout)) // [B, places, 1, C]
      const hidden = exposure.hidden && onCpu(exposure.hidden)
      const predicted = exposure.predicted === null ? ones([B, N]) : onCpu(exposure.predicted)
      const isOne = exposure.hidden !== null && exposure.hidden === exposure.predicted
      const hiddenOfBands = hidden && bandsOf(hidden)
      const predictedOfBands = isOne ? hiddenOfBands! : bandsOf(predicted)
      const units = unitsOf(options)
      const scenery = { cut, units, hidden: hiddenOfBands, predicted: predictedOfBands }
      const toArray = (x: Tensor) => toFloats(toImageOrder(expand(x, cut.truth.shape), shape))
      const { grid } = layout
      const scene = {
        ...{ grid, frames, channels: d.channels, predicted },
        isPredicted: predictedPlaces(predicted, { grid, frames }),
      }
      const variants = exposure.shown.flatMap((each) =>
        each.kind === 'pixels' ? rebuilt(each, scenery, options) : [],
      )
      const others = exposure.shown.flatMap((each) =>
        each.kind === 'pixels' ? [] : [shownColumns(each, scene)],
      )
      const unsaid = hiddenOfBands && !isOne ? mul(hiddenOfBands, sub(mul(predictedOfBands, -1), -1)) : null
      const values: RebuiltValues = {
        ...{ samples: B, frames, channels: d.channels, height, width },
        variants: variants.map(({ whole, ...variant }) => ({ ...variant, values: toArray(whole) })),
        truth: toArray(units.physical(cut.truth)),
        hidden: hiddenOfBands && toArray(hiddenOfBands),
        unsaid: unsaid && toArray(unsaid),
        valid: view.valid && toFloats(onCpu(view.valid)),
        times: view.times,
        ...(others.length > 0 && {
          shown: (date: number, image: Tile) => others.flatMap(({ tiles }) => tiles(date, image)),
        }),
      }
      const errors = others.find((each) => each.errors)?.errors
      const legend = others.find((each) => each.legend)?.legend
      return {
        images: look ? showRasters(values, look) : showImages(values),
        samples: B,
        hiddenShare: hidden && item(sum(hidden)) / (B * N),
        bands: look ? null : bandsNote(d.channels),
        ...(others.length > 0 && {
          more: {
            columns: others.flatMap(({ columns }) => columns),
            footers: others.flatMap(({ footer = [] }) => footer),
            ...(legend && { legend }),
          },
        }),
        ...(errors && { errors }),
      }
    }),
  )
}

/** Patches [B, places, P·P, C] → images [B, T, C, H, W]. */
function toImageOrder(x: Tensor, { dimensions: d, frames }: BackboneShape): Tensor {
  const B = x.shape[0]!
  const [height, width] = d.imageSize
  const grid = gridOfModel(d)
  const ofFrames = reshape(x, [B * frames, grid.h * grid.w, patchWidth(d)])
  return reshape(unpatchify(ofFrames, { patchSize: d.patchSize, grid }), [
    B,
    frames,
    d.channels,
    height,
    width,
  ])
}

function checkChannels({ shape, channelStatistics: { mean, std } }: Pictured): void {
  const { channels } = shape.dimensions
  if (mean.length === channels && std.length === channels) return
  throw new SherdError(
    'SHAPE',
    `reconstruct: ${mean.length} means and ${std.length} deviations do not fit images of ${channels} channels`,
  )
}

/** Undoes the channel statistics of [B, places, P·P, C]: to the files' units, and to [0, 1] for measures of quality. */
function unitsOf({ shape, channelStatistics, look }: Pictured) {
  const C = shape.dimensions.channels
  const { mean, std, low, high } = channelStatistics
  const perBand = (values: readonly number[]) => tensor([...values], [C])
  const physical = (x: Tensor) => add(mul(x, perBand(std)), perBand(mean))
  if (!look) return { physical, unit: physical } // images are in [0, 1] already
  // Of rasters, what values are clipped at counts as black and white.
  const from = mean.map((m, c) => low?.[c] ?? m - 2 * std[c]!)
  const to = mean.map((m, c) => high?.[c] ?? m + 2 * std[c]!)
  const unit = (x: Tensor) =>
    mul(
      sub(physical(x), perBand(from)),
      perBand(to.map((t, c) => 1 / Math.max(t - from[c]!, Number.EPSILON))),
    )
  return { physical, unit }
}
