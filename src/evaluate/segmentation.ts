/**
 * Segmentation on a frozen encoder: a head maps the grid of patch tokens to classes of pixels. The tokens are cached once, so that
 * training a head takes a fraction of the encoder's time.
 */

import { SherdError } from '../errors.ts'
import { type Breath, unwatched } from '../files/pieces.ts'
import { initialParameters, weightsOf } from '../model/parameters.ts'
import {
  pixelLogits,
  type Segmentation,
  type SegmentationHead,
  type SegmentationShape,
  segmentationHeads,
  type TokenStatistics,
  type TrainedHead,
} from '../model/segmentation-heads.ts'
import { onePart } from '../objective/losses.ts'
import type { BatchObjective } from '../objective/objective.ts'
import { adamw } from '../optim/adamw.ts'
import { disposeState, initialState } from '../optim/optimizer.ts'
import { type Schedule, valueAt } from '../optim/schedule.ts'
import { draws } from '../random/draws.ts'
import { call } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { add, div, indexSelect, meanOver, mul, sqrt, square, sub, toDevice, toDtype } from '../tensor/ops.ts'
import { disposeAll, scope, unscoped } from '../tensor/scope.ts'
import { type Device, fromArray, type Tensor, toArray } from '../tensor/tensor.ts'
import { beginStep } from '../train/step.ts'
import type { Trainee } from '../train/trainee.ts'

const EPSILON = 1e-6 // of the normalisation

/** Patch tokens of images, with the class of each pixel. */
export interface Segmented {
  readonly count: number
  /** [count, N, D] on the CPU, in float16 to halve the memory. */
  readonly tokens: Tensor
  /** [count, H, W] */
  readonly masks: Uint16Array
}

const BATCH = 32 // images per batch without training

/** Tokens [B, N, D] of some images on the device, in float32. */
function pickTokens({ tokens }: Segmented, images: readonly number[], device: Device): Tensor {
  const which = fromArray(BigInt64Array.from(images, BigInt), [images.length], 'int64')
  return toDevice(toDtype(indexSelect(tokens, 0, which), 'float32'), device)
}

const batchesOf = (count: number) =>
  Array.from({ length: Math.ceil(count / BATCH) }, (_, i) =>
    Array.from({ length: Math.min(BATCH, count - i * BATCH) }, (_, row) => i * BATCH + row),
  )

/** Mean and deviation of all tokens. The result outlives every scope. */
export async function tokenStatistics(
  set: Segmented,
  device: Device,
  breath: Breath = unwatched,
): Promise<TokenStatistics> {
  const kept = <T>(body: () => T) => noGrad(() => unscoped(() => scope(body)))
  const meanOf = async (of: (x: Tensor) => Tensor) => {
    const parts: Tensor[] = []
    try {
      for (const images of batchesOf(set.count)) {
        parts.push(
          kept(() => mul(meanOver(of(pickTokens(set, images, device)), [0, 1]), images.length / set.count)),
        )
        await breath(0)
      }
      return kept(() => parts.slice(1).reduce((a, b) => add(a, b), mul(parts[0]!, 1)))
    } finally {
      disposeAll(parts)
    }
  }
  const mean = await meanOf((x) => x)
  try {
    const variance = await meanOf((x) => square(sub(x, mean)))
    const deviation = kept(() => sqrt(add(variance, EPSILON)))
    variance.dispose()
    return { mean, deviation }
  } catch (error) {
    mean.dispose()
    throw error
  }
}

/** Masks of some images: int64 [B, H, W], and the number of labelled pixels. */
function pickMasks({ masks }: Segmented, images: readonly number[], { size, ignored }: SegmentationShape) {
  const pixels = size[0] * size[1]
  const picked = new Int32Array(images.length * pixels)
  for (const [row, image] of images.entries())
    picked.set(masks.subarray(image * pixels, (image + 1) * pixels), row * pixels)
  const labelled = picked.reduce((count, label) => count + (label === ignored ? 0 : 1), 0)
  return { masks: toDtype(fromArray(picked, [images.length, ...size], 'int32'), 'int64'), labelled }
}

export interface SegmentationOptions {
  readonly head: SegmentationHead
  readonly learningRate: number
  readonly weightDecay: number
  readonly epochs: number
  /** At most: small sets use smaller batches, so that there are enough steps. */
  readonly batchSize: number
  readonly seed: number
}

export const segmentationDefaults = {
  ...{ learningRate: 1e-3, weightDecay: 1e-4, epochs: 40, batchSize: 16 },
} satisfies Partial<SegmentationOptions>

const WARM_UP = 0.1
const STEPS_OF_EPOCH = 10 // at least, if there are so many images

interface Masked {
  readonly tokens: Tensor
  readonly masks: Tensor
  /** Number of labelled pixels. */
  readonly labelled: number
}

const segmenting = (head: SegmentationHead, of: Segmentation): BatchObjective<Masked, null> => ({
  rows: segmentationHeads[head].rows(of.shape),
  encoder: { prefix: '' },
  plan: () => null,
  loss: (weights, { tokens, masks, labelled }) =>
    scope(() => {
      const logits = pixelLogits(tokens, weights, head, of)
      const loss = call('cross_entropy_loss', logits, masks, null, SUM, of.shape.ignored, 0)
      return onePart('cross-entropy', div(loss, Math.max(1, labelled)))
    }),
})

interface TrainingWatch {
  readonly breath?: Breath
  /** Gets the mean loss. */
  readonly onEpoch?: (epoch: number, loss: number) => void
}

/** Trains a head by AdamW with a cosine schedule on the cross-entropy of labelled pixels. */
export async function trainHead(
  set: Segmented,
  of: Segmentation,
  options: SegmentationOptions,
  { breath = unwatched, onEpoch }: TrainingWatch = {},
): Promise<TrainedHead> {
  const { head, epochs, seed, weightDecay } = options
  const { shape, device } = of
  const objective = segmenting(head, of)
  const parameters = initialParameters(objective.rows, { seed, device })
  const optimizer = adamw({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8 })
  const trainee: Trainee<Masked, null> = {
    ...{ objective, parameters, optimizer, state: initialState(optimizer, parameters) },
    ...{ groups: [], clip: null, seed, device, precision: 'float32' },
  }
  const batch = Math.max(1, Math.min(options.batchSize, Math.floor(set.count / STEPS_OF_EPOCH)))
  const perEpoch = Math.floor(set.count / batch) // the remainder differs between epochs
  const totalSteps = epochs * perEpoch
  const rate: Schedule = {
    ...{ kind: 'cosine', from: options.learningRate, to: 0, warmup: Math.floor(totalSteps * WARM_UP) },
  }
  try {
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = [...draws({ seed, stream: 'segment', epoch, index: 0 }).permutation(set.count)]
      let total = 0
      for (let place = 0; place < perEpoch; place++) {
        const indices = order.slice(place * batch, (place + 1) * batch)
        const step = epoch * perEpoch + place
        const learningRate = valueAt(rate, { step, epoch, stepsPerEpoch: perEpoch, totalSteps })
        const open = beginStep(trainee, { step, epoch, value: { learningRate, weightDecay }, parts: 1 })
        open.add(() => {
          const { masks, labelled } = pickMasks(set, indices, shape)
          return {
            batch: { tokens: pickTokens(set, indices, device), masks: toDevice(masks, device), labelled },
            samples: { epochs: indices.map(() => epoch), indices },
          }
        })
        const { loss, gradientNorm, isFinite: whole } = open.finish()
        if (!whole)
          throw new SherdError(
            'NON_FINITE',
            `The ${head} head (seed ${seed}) gave a gradient norm of ${gradientNorm} in epoch ${epoch + 1} at learning rate ${learningRate.toPrecision(3)}: a lower one may help.`,
          )
        total += loss
        await breath((step + 1) / totalSteps)
      }
      onEpoch?.(epoch, total / perEpoch)
    }
    return { head, parameters }
  } catch (error) {
    disposeAll(parameters)
    throw error
  } finally {
    disposeState(trainee.state)
  }
}

const SUM = 2 // LibTorch's enum value of this reduction

/** Predicted class of every pixel of some images: [images, H, W]. */
export function predictMasks(
  set: Segmented,
  images: readonly number[],
  { head, parameters }: TrainedHead,
  of: Segmentation,
): Uint16Array {
  return noGrad(() =>
    scope(() => {
      const logits = pixelLogits(pickTokens(set, images, of.device), weightsOf(parameters), head, of)
      const found = call('argmax', logits, 1, false)
      return Uint16Array.from(toArray(toDtype(found, 'int32')) as Int32Array)
    }),
  )
}

/** Labelled pixels by [class][predicted]. */
export async function confusionOf(
  set: Segmented,
  trained: TrainedHead,
  of: Segmentation,
  breath: Breath = unwatched,
): Promise<number[][]> {
  const { classes, size, ignored } = of.shape
  const pixels = size[0] * size[1]
  const confusion = Array.from({ length: classes }, () => new Array<number>(classes).fill(0))
  for (const images of batchesOf(set.count)) {
    const truth = set.masks.subarray(images[0]! * pixels)
    for (const [i, label] of predictMasks(set, images, trained, of).entries())
      if (truth[i] !== ignored) confusion[truth[i]!]![label]!++
    await breath(1)
  }
  return confusion
}
