/**
 * What a masked autoencoder rebuilds, shown honestly. A model of normalised pixels predicts no absolute brightness: mean
 * and deviation of every hidden patch must come from somewhere, and taking the true ones leaks part of the answer. So
 * every reconstruction is named by the statistics it used, and visible patches are pasted from the original.
 */
import { SherdError } from '../errors.ts'
import { type Dimensions, gridOfModel, patchWidth } from '../model/dimensions.ts'
import type { Weights } from '../model/parameters.ts'
import type { Objective } from '../objective/objective.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { patchStatistics, withStatistics } from '../target/pixels.ts'
import { noGrad } from '../tensor/context.ts'
import { add, cat, full, mul, toDevice, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { MaskPlan } from '../token/mask.ts'
import { patchify, unpatchify } from '../token/patchify.ts'
import { take } from '../token/take.ts'
import { statisticsFromNeighbours } from './neighbours.ts'
import { hiddenQuality, type Quality } from './quality.ts'
import { bandsNote, type Tile, tilesOf } from './tile.ts'

/**
 * Where mean and deviation of hidden patches come from. `raw`: the model predicts pixels and needs none. `neighbours`: the
 * nearest visible patches. `true`: the hidden patches themselves, which leaks the answer.
 */
export type StatisticsUsed = 'raw' | 'neighbours' | 'true'

export interface ReconstructionOptions {
  readonly objective: Pick<Objective, 'predict'>
  readonly dimensions: Dimensions
  /** Whether the model was trained on targets that are normalised patch by patch. */
  readonly normalizeTarget: boolean
  readonly weights: Weights
  /** [B, C, H, W], normalised by `channelStatistics`. */
  readonly images: Tensor
  readonly plan: MaskPlan
  readonly channelStatistics: ChannelStatistics
  /** By default `neighbours` and `true` for normalised targets, `raw` for others. */
  readonly statistics?: readonly StatisticsUsed[]
}

export interface Rebuilt {
  readonly statistics: StatisticsUsed
  readonly tile: Tile
  /** On hidden patches and all channels. */
  readonly quality: Quality
}

export interface Reconstruction {
  readonly original: Tile
  /** The original with hidden patches in plain grey. */
  readonly masked: Tile
  readonly rebuilt: readonly Rebuilt[]
}

export interface Reconstructions {
  readonly images: readonly Reconstruction[]
  /** M / N */
  readonly hiddenShare: number
  /** Which channels the tiles show, where that is not all of them. */
  readonly bands: string | null
}

const GREY = 0.82

/** Rebuilds every image. Throws `SHAPE` for other sizes, `VALUE` for statistics that the target does not have. */
export function reconstruct(options: ReconstructionOptions): Reconstructions {
  const { dimensions: d, plan, images, normalizeTarget } = options
  const grid = gridOfModel(d)
  const [B] = expectShape(images, ['B', d.channels, ...d.imageSize], 'reconstruct: images')
  const [, K] = expectShape(plan.kept, [B, 'K'], 'reconstruct: plan.kept')
  const [, M] = expectShape(plan.hidden, [B, 'M'], 'reconstruct: plan.hidden')
  expectShape(plan.restore, [B, grid.h * grid.w], 'reconstruct: plan.restore')
  const wanted = options.statistics ?? (normalizeTarget ? ['neighbours', 'true'] : ['raw'])
  checkStatistics(wanted, normalizeTarget)

  return noGrad(() =>
    scope(() => {
      const patches = patchify(images, d.patchSize) // [B, N, P·P·C]
      const visible = take(patches, plan.kept) // [B, K, P·P·C]
      const hidden = take(patches, plan.hidden) // [B, M, P·P·C]
      const { prediction } = options.objective.predict(options.weights, images, plan)
      const predicted = toDtype(take(prediction, plan.hidden), 'float32') // [B, M, P·P·C]

      const pixels = pixelsFrom(options)
      const paste = (hiddenPixels: Tensor): Tile[] => {
        const all = take(cat([pixels(visible), hiddenPixels], 1), plan.restore) // [B, N, P·P·C]
        return tilesOf(toDevice(unpatchify(all, { patchSize: d.patchSize, grid }), 'cpu'))
      }
      const rebuild = {
        raw: () => predicted,
        neighbours: () =>
          withStatistics(predicted, statisticsFromNeighbours(patchStatistics(visible), plan, grid)),
        true: () => withStatistics(predicted, patchStatistics(hidden)),
      } satisfies Record<StatisticsUsed, () => Tensor>

      const truth = pixels(hidden)
      const originals = paste(truth)
      const masked = paste(full(hidden.shape, GREY, { device: images.device }))
      const variants = wanted.map((statistics) => {
        const rebuilt = pixels(rebuild[statistics]())
        return { statistics, tiles: paste(rebuilt), qualities: hiddenQuality(truth, rebuilt, d.channels) }
      })
      return {
        images: originals.map((original, b) => ({
          original,
          masked: masked[b]!,
          rebuilt: variants.map(({ statistics, tiles, qualities }) => ({
            statistics,
            tile: tiles[b]!,
            quality: qualities[b]!,
          })),
        })),
        hiddenShare: M / (K + M),
        bands: bandsNote(d.channels),
      }
    }),
  )
}

function checkStatistics(wanted: readonly StatisticsUsed[], normalizeTarget: boolean): void {
  const wrong = wanted.find((statistics) => (statistics === 'raw') === normalizeTarget)
  if (wrong === undefined) return
  throw new SherdError(
    'VALUE',
    normalizeTarget
      ? 'reconstruct: a model of normalised targets predicts no raw pixels; ask for "neighbours" or "true" statistics'
      : `reconstruct: a model of raw pixels needs no "${wrong}" statistics; ask for "raw"`,
  )
}

/** Undoes the channel statistics of patches [B, …, P·P·C]: pixels in [0, 1]. */
function pixelsFrom({
  dimensions: d,
  channelStatistics,
  images,
}: ReconstructionOptions): (x: Tensor) => Tensor {
  const { mean, std } = channelStatistics
  if (mean.length !== d.channels || std.length !== d.channels) {
    throw new SherdError(
      'SHAPE',
      `reconstruct: ${mean.length} means and ${std.length} deviations do not fit images of ${d.channels} channels`,
    )
  }
  const width = patchWidth(d)
  const alongPatch = (perChannel: readonly number[]) =>
    toDevice(
      tensor(
        Array.from({ length: width }, (_, i) => perChannel[i % d.channels]!),
        [width],
      ),
      images.device,
    )
  const [scale, shift] = [alongPatch(std), alongPatch(mean)]
  return (x) => add(mul(x, scale), shift)
}
