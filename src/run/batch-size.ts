/** Batches of a run that counts its length in epochs: no larger than the data, or an epoch would be a part of a step. */
import { effectiveBatch, resolveConfig } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'

export interface FittedBatch {
  readonly config: Config
  /** For the user, if it was changed. */
  readonly note: string | null
}

/** Runs with `train.steps` are not changed: their batches may repeat images. */
export function fitBatch(config: Config, images: number): FittedBatch {
  const before = effectiveBatch(config)
  if (config.train.steps !== null || images >= before || images < 1) return { config, note: null }
  const batchSize = Math.min(config.train.batchSize, images)
  const accumulate = Math.floor(images / batchSize)
  const fitted = resolveConfig({ ...config, train: { ...config.train, batchSize, accumulate } })
  return {
    config: fitted,
    note:
      `${images} ${images === 1 ? 'image is' : 'images are'} fewer than the ${before} of a step, so a step takes ${effectiveBatch(fitted)} ` +
      `(train.batchSize ${batchSize}, train.accumulate ${accumulate}). For steps of ${before} that take images several times, say how many: --steps N.`,
  }
}
