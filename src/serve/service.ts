/** The service behind the routes: from an uploaded image to a graph's outputs, batched with other requests. */
import { fittingOf } from '../config/assemble.ts'
import { backboneOf } from '../config/resolve.ts'
import { inferenceBatch } from '../weights/folder-features.ts'
import { type Batcher, batcher, type SampleInputs, type SampleOutputs } from './batcher.ts'
import type { Gate } from './gate.ts'
import type { Upload, UploadedImage } from './images.ts'
import type { Limits } from './limits.ts'
import type { Metrics } from './metrics.ts'
import type { ServedModel } from './models.ts'
import { errorBody, Refusal, refusalOf } from './refusal.ts'
import { type Cutting, type Sample, sampleMaker } from './sample.ts'

/** A graph that is called with one image at a time. */
export interface Answering {
  readonly model: ServedModel
  readonly batches: Batcher
  /** The graph's outputs for an image. `more`: its inputs besides the pixels; `cutting`: the part of the image. */
  compute(
    image: UploadedImage,
    wanted: readonly string[],
    signal: AbortSignal,
    more?: SampleInputs,
    cutting?: Cutting,
  ): Promise<{ readonly sample: Sample; readonly outputs: SampleOutputs }>
}

export interface AnsweringOptions {
  readonly mostTogether?: number
  /** In milliseconds. */
  readonly mostWait: number
  readonly limits: Limits
  readonly metrics: Metrics
  /** Shared by all graphs. */
  readonly decoding: Gate
}

export function answering(
  model: ServedModel,
  { mostTogether, mostWait, limits, metrics, decoding }: AnsweringOptions,
): Answering {
  const { graph, config } = model
  const make = sampleMaker(config, { maxPixels: limits.pixels })
  let onTheWay = 0
  const batches = batcher({
    ...{ session: model.session, mostWait, mostQueued: limits.queue, onTheWay: () => onTheWay },
    mostTogether:
      mostTogether ??
      Math.min(MOST_TOGETHER, inferenceBatch(backboneOf(config), fittingOf(config)?.budget?.most)),
    onBatch: (samples) => metrics.batch(graph, samples),
  })
  return {
    ...{ model, batches },
    async compute({ file }, wanted, signal, more = {}, cutting) {
      signal.throwIfAborted()
      onTheWay++
      const sample = await decoding
        .run(signal, () => make(file, cutting))
        .catch((error: unknown) => {
          onTheWay--
          batches.nudge() // a batch may have waited for this one
          throw error
        })
      onTheWay--
      return { sample, outputs: await batches.run({ pixels: sample.pixels, ...more }, wanted, signal) }
    },
  }
}

/** Larger batches are no faster, and the first sample waits longer. */
const MOST_TOGETHER = 32

export type Result<T> = { readonly name: string | null } & (T | ReturnType<typeof errorBody>)
export const isResult = <T extends object>(result: Result<T>): result is { name: string | null } & T =>
  !('error' in result)

/** For answers that cannot hold an error. Throws the refusal of an image that failed. */
export function wholeResult<T extends object>(result: Result<T>): { name: string | null } & T {
  if (isResult(result)) return result
  const { error } = result as ReturnType<typeof errorBody>
  throw new Refusal(error.code, `${result.name}: ${error.message}`)
}

/**
 * The results of all images in their order. In a form, a failed image has its error in its place, unless all failed; a failed body is
 * an error of the request.
 */
export async function resultsOf<T extends object>(
  { images, isForm }: Upload,
  metrics: Metrics,
  answer: (image: UploadedImage, index: number) => Promise<T>,
): Promise<Result<T>[]> {
  const results = await Promise.all(
    images.map(async (image, index): Promise<Result<T>> => {
      try {
        return { name: image.name, ...(await answer(image, index)) }
      } catch (error) {
        const refusal = refusalOf(error)
        if (!isForm || refusal.code !== 'IMAGE') throw error
        metrics.refused('IMAGE')
        return { name: image.name, ...errorBody(refusal) }
      }
    }),
  )
  if (results.some(isResult)) return results
  const reasons = results.map(({ name, ...rest }) => `${name}: ${'error' in rest ? rest.error.message : ''}`)
  throw new Refusal('IMAGE', `no image of the form can be used: ${reasons.join('; ')}`)
}
