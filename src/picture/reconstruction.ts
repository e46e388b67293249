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
import { call } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { add, div, expand, max, mean, mul, reshape, sub, sum, toDevice, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { item, type Tensor, tensor, toFloats } from '../tensor/tensor.ts'
import { layoutTokens, placeCount } from '../token/layout.ts'
import { hiddenMask, type MaskPlan, maskOf } from '../token/mask.ts'
import { unpatchify } from '../token/patchify.ts'
import {
  type RasterLook,
  type RebuiltValues,
  type Reconstruction,
  showImages,
  showRasters,
} from './rebuilt-tiles.ts'
import { bandsNote } from './tile.ts'

interface ExposedOptions {
  readonly shape: BackboneShape
  readonly weights: Weights
  /** Normalised by `channelStatistics`. */
  readonly view: View
  readonly plan: MaskPlan
  readonly channelStatistics: ChannelStatistics
  /** How rasters are shown; images are shown as they are. */
  readonly look?: RasterLook
}

export interface ErrorOptions extends ExposedOptions {
  readonly objective: Pick<MaskedObjective, 'errors'>
}

export interface ReconstructionOptions extends ExposedOptions {
  readonly objective: Pick<MaskedObjective, 'predict'>
  /** Whether the model was trained on targets that are normalised patch by patch. */
  readonly normalizeTarget: boolean
  /** By what they were normalised; `group` by default. */
  readonly bandStatistics?: BandStatistics
  /** By default `neighbours` and `true` for normalised targets, `raw` for others. */
  readonly statistics?: readonly StatisticsUsed[]
}

export interface Reconstructions {
  readonly images: readonly Reconstruction[]
  /** How many samples they are of. */
  readonly samples: number
  /** M / N */
  readonly hiddenShare: number
  /** Which channels the tiles show, where that is not all of them and rows do not say it. */
  readonly bands: string | null
  /** Of hidden tokens, where errors are shown: the greatest of a place, and the mean. */
  readonly errors?: { readonly most: number; readonly mean: number }
}

/** Rebuilds every image. Throws `SHAPE` for other sizes, `VALUE` for statistics that the target does not have. */
export function reconstruct(options: ReconstructionOptions): Reconstructions {
  const { normalizeTarget } = options
  const wanted = options.statistics ?? (normalizeTarget ? ['neighbours', 'true'] : ['raw'])
  checkStatistics(wanted, normalizeTarget)
  return exposed(options, ({ cut, hidden, units, toArray }) => {
    const { channels } = options.shape.dimensions
    const layout = layoutOf(options.shape)
    const { prediction } = options.objective.predict(options.weights, options.view, options.plan)
    const predicted = reshape(onCpu(prediction), cut.truth.shape)
    const by = options.bandStatistics ?? 'group'
    const rebuild = {
      raw: () => predicted,
      neighbours: () => withMoments(predicted, guessed(momentsByBand(cut, by, hidden), hidden, layout)),
      true: () => withMoments(predicted, momentsByBand(cut, by)),
    } satisfies Record<StatisticsUsed, () => Tensor>
    const isHidden = call('gt.Scalar', hidden, 0)
    const paste = (x: Tensor) => call('where.self', isHidden, x, cut.truth)
    const scored = mul(hidden, groupedBands(cut.groups, channels)) // a band that no group has is not predicted
    const counted = cut.valid ? mul(scored, cut.valid) : expand(scored, cut.truth.shape)
    const variants = wanted.map((statistics) => {
      const whole = paste(rebuild[statistics]())
      const quality = hiddenQuality(units.unit(cut.truth), units.unit(whole), counted)
      return { statistics, values: toArray(units.physical(whole)), quality }
    })
    return { variants }
  })
}

/** How wrong each hidden token is, of a target that has no pixels to show. Throws `SHAPE` for images of other sizes. */
export const showErrors = (options: ErrorOptions): Reconstructions =>
  exposed(options, ({ cut, toArray }) => {
    const [B, places] = cut.truth.shape as readonly [number, number]
    const byGroup = (x: Tensor) => reshape(onCpu(x), [B, -1, places])
    const mask = byGroup(hiddenMask(options.plan))
    const wrong = mul(byGroup(options.objective.errors(options.weights, options.view, options.plan)), mask)
    const over = (x: Tensor) => call('sum.dim_IntList', x, [1], false, null)
    const ofPlaces = reshape(div(over(wrong), over(mask)), [B, places, 1, 1]) // NaN where all is visible
    return {
      variants: [],
      errors: {
        values: toArray(expand(ofPlaces, cut.truth.shape)),
        most: item(max(call('nan_to_num', ofPlaces, 0, null, null))),
        mean: item(div(sum(wrong), sum(mask))),
      },
    }
  })

const onCpu = (x: Tensor) => toDevice(toDtype(x, 'float32'), 'cpu')

interface Exposed {
  readonly cut: ReturnType<typeof cutPatches>
  /** [B, places, 1, C] */
  readonly hidden: Tensor
  readonly units: ReturnType<typeof unitsOf>
  readonly toArray: (x: Tensor) => Float32Array
}

/** Original and masked images, with what `more` makes of them. */
function exposed(
  options: ExposedOptions,
  more: (made: Exposed) => Pick<RebuiltValues, 'variants' | 'errors'>,
): Reconstructions {
  const { shape, view, plan, look } = options
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
      const [B] = expectShape(view.pixels, ['B', frames, d.channels, height, width], 'reconstruct: images')
      expectShape(plan.kept, [B, 'K'], 'reconstruct: plan.kept')
      expectShape(plan.hidden, [B, 'M'], 'reconstruct: plan.hidden')
      expectShape(plan.restore, [B, layoutTokens(layout)], 'reconstruct: plan.restore')
      const cut = cutPatches(shape, onCpu(view.pixels), view.valid && onCpu(view.valid))
      const hidden = hiddenBands(onCpu(maskOf(plan)), cut.groups, d.channels, placeCount(layout)) // [B, places, 1, C]
      const units = unitsOf(options)
      const toArray = (x: Tensor) => toFloats(toImageOrder(x, shape))
      const values: RebuiltValues = {
        ...{ samples: B, frames, channels: d.channels, height, width },
        ...more({ cut, hidden, units, toArray }),
        truth: toArray(units.physical(cut.truth)),
        hidden: toArray(expand(hidden, cut.truth.shape)),
        valid: view.valid && toFloats(onCpu(view.valid)),
        times: view.times,
      }
      return {
        images: look ? showRasters(values, look) : showImages(values),
        samples: B,
        hiddenShare: item(mean(maskOf(plan))),
        bands: look ? null : bandsNote(d.channels),
        ...(values.errors && { errors: { most: values.errors.most, mean: values.errors.mean } }),
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

function checkChannels({ shape, channelStatistics: { mean, std } }: ExposedOptions): void {
  const { channels } = shape.dimensions
  if (mean.length === channels && std.length === channels) return
  throw new SherdError(
    'SHAPE',
    `reconstruct: ${mean.length} means and ${std.length} deviations do not fit images of ${channels} channels`,
  )
}

/** Undoes the channel statistics of [B, places, P·P, C]: to the files' units, and to [0, 1] for measures of quality. */
function unitsOf({ shape, channelStatistics, look }: ExposedOptions) {
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
