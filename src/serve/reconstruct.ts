/** `POST /v1/reconstruct`: masks an image and reconstructs it. */
import { predictionInWords } from '../config/in-words.ts'
import { dimensionsOf, expectMasks, maskDesignOf, pixelTargetOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { gridOfModel } from '../model/dimensions.ts'
import { type Reconstruction, showImages } from '../picture/rebuilt-tiles.ts'
import { drawReconstructions } from '../picture/reconstruction-grid.ts'
import { bandsNote } from '../picture/tile.ts'
import {
  checkStatistics,
  normalizedPatches,
  type PatchShape,
  patchErrors,
  patchesToImage,
  patchQuality,
  rebuiltPatches,
  type StatisticsUsed,
} from '../target/patch-statistics.ts'
import type { Quality } from '../target/reconstruction-quality.ts'
import { tokenCount } from '../token/grid.ts'
import { type MaskShape, shapedOrder } from '../token/mask-kinds.ts'
import { keptCount, type MaskOrder } from '../token/mask-order.ts'
import { choice, type ImageRoute, jsonAnswer, numbers } from './image-route.ts'
import type { ServedModel } from './models.ts'
import type { Sample } from './sample.ts'
import { type Answering, wholeResult } from './service.ts'

export interface Reconstructed extends Quality {
  /** Indices of patches, ascending. */
  readonly hidden: readonly number[]
  /** Mean squared error of each hidden patch, in the space of the target. */
  readonly errors: readonly number[]
  /** The mean of `errors`. */
  readonly loss: number
  readonly row: Reconstruction
}

interface Query {
  readonly ratio: number
  readonly seed: number
  readonly statistics: StatisticsUsed
  readonly format: 'json' | 'png'
}

const int64 = (numbers: readonly number[]) => ({
  ...{ values: BigInt64Array.from(numbers, BigInt), shape: [numbers.length] },
})

function rebuild(
  { config, statistics: channelStatistics }: Pick<ServedModel, 'config' | 'statistics'>,
  { bytes }: Pick<Sample, 'bytes'>,
  prediction: Float32Array,
  { order, statistics }: { readonly order: MaskOrder; readonly statistics: StatisticsUsed },
): Reconstructed {
  const { imageSize, patchSize, channels } = dimensionsOf(config)
  const [height, width] = imageSize
  const shape: PatchShape = { grid: gridOfModel(dimensionsOf(config)), patchSize, channels }
  const hidden = new Uint8Array(tokenCount(shape.grid))
  for (const patch of order.hidden) hidden[patch] = 1
  const patches = normalizedPatches(bytes, shape, channelStatistics)
  const masked = { patches, prediction, hidden, grid: shape.grid }
  const whole = rebuiltPatches(masked, statistics)
  const quality = patchQuality(patches, whole, hidden, channelStatistics)
  const patchWidth = patches.length / hidden.length
  const [row] = showImages({
    ...{ samples: 1, frames: 1, channels, height, width, valid: null, times: null },
    truth: patchesToImage(patches, shape, channelStatistics),
    hidden: patchesToImage(
      patches.map((_, i) => hidden[Math.floor(i / patchWidth)]!),
      shape,
      { mean: Array(channels).fill(0), std: Array(channels).fill(1) },
    ),
    variants: [{ statistics, values: patchesToImage(whole, shape, channelStatistics), quality: [quality] }],
  })
  const errors = [...patchErrors(masked, pixelTargetOf(config)!.normalize)].filter(
    (error) => !Number.isNaN(error),
  )
  return {
    ...{ ...quality, errors, row: row! },
    hidden: [...order.hidden].sort((a, b) => a - b),
    loss: errors.reduce((sum, error) => sum + error, 0) / errors.length,
  }
}

/** Throws `VALUE` for targets that are normalised band by band, which have no picture here. */
export function reconstructRoute({ compute, model }: Answering): ImageRoute<Reconstructed> {
  const config = expectMasks(model.config, 'To rebuild images')
  const target = pixelTargetOf(config)
  if (!target)
    throw new SherdError(
      'VALUE',
      `${model.path} predicts no pixels (${predictionInWords(model.config)}), which the server could rebuild: use "sherd reconstruct".`,
    )
  const { normalize, statistics: by } = target
  if (normalize && by === 'band')
    throw new SherdError(
      'VALUE',
      `${model.path} predicts patches that are normalised band by band (target.statistics band), which the server does not rebuild: use "sherd reconstruct".`,
    )
  const grid = gridOfModel(dimensionsOf(config))
  const tokens = tokenCount(grid)
  const shape: MaskShape = maskDesignOf(config).shape ?? { kind: 'random' }
  const choices = normalize ? (['neighbours', 'true'] as const) : (['raw'] as const)
  return {
    url: '/v1/reconstruct',
    summary: 'Hides patches of each image and rebuilds them',
    query: {
      ratio: {
        type: 'number',
        exclusiveMinimum: 0,
        exclusiveMaximum: 1,
        default: maskDesignOf(config).ratio,
        description: 'share of the patches that is hidden',
      },
      seed: {
        type: 'integer',
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        default: config.train.seed,
        description: 'of the mask: that of the i-th image is drawn at (seed, mask, epoch 0, i)',
      },
      statistics: choice(
        ['raw', 'neighbours', 'true'],
        choices[0],
        `where mean and deviation of hidden patches come from (docs/picture.md); this model has ${choices.join(' and ')}`,
      ),
      format: choice(['json', 'png'], 'json', 'png: original, masked and rebuilt, a row for each image'),
    },
    result: {
      hidden: { type: 'array', items: { type: 'integer' }, description: 'numbers of patches, row by row' },
      errors: { ...numbers, description: 'mean squared error of each of them, in the space of the target' },
      loss: { type: 'number', description: 'their mean' },
      psnr: { type: ['number', 'null'], description: 'in dB, on hidden patches; null: a perfect copy' },
      ssim: { type: 'number', description: 'on hidden patches' },
    },
    check(query) {
      const { ratio, statistics } = query as unknown as Query
      keptCount(tokens, ratio)
      checkStatistics([statistics], normalize)
    },
    async of(image, index, { query, signal }) {
      const { ratio, seed, statistics } = query as unknown as Query
      const order = shapedOrder(grid, shape, ratio, { seed, epoch: 0, index })
      const masks = { kept: int64(order.kept), hidden: int64(order.hidden) }
      const { sample, outputs } = await compute(image, ['prediction'], signal, masks)
      return rebuild(model, sample, outputs.prediction!.values, { order, statistics })
    },
    async answer(results, { query }) {
      const { ratio, seed, statistics, format } = query as unknown as Query
      if (format === 'png') {
        const images = results.map((result) => wholeResult(result).row)
        const hiddenShare = 1 - keptCount(tokens, ratio) / tokens
        const made = { images, samples: images.length, hiddenShare, bands: bandsNote(config.model.channels) }
        const { step } = model.origin
        return { type: 'image/png', body: await drawReconstructions(made, step === null ? {} : { step }) }
      }
      return jsonAnswer({
        ...{ ratio, seed, statistics, grid: { rows: grid.h, columns: grid.w } },
        results: results.map((result) => {
          if (!('row' in result)) return result
          const { row: _, ...body } = result
          return body
        }),
      })
    },
  }
}
