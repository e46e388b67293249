/** What fine-tuning is asked for: the recipe of He et al. 2021 and where it may be changed. */
import { SherdError } from '../errors.ts'
import type { PrecisionName } from '../machine/plan.ts'
import type { Adaptation } from '../model/adapt.ts'
import { headsOf, type TrainedHeadName } from '../model/classifier.ts'
import { randAugmentDefaults } from '../prepare/augment/rand-augment.ts'
import type { CacheKind } from '../prepare/cache/caches.ts'
import type { ImageSource } from '../source/open.ts'
import type { StepEvent } from '../train/events.ts'
import type { OpenedEncoder } from '../weights/open-encoder.ts'
import type { EvaluationData } from './evaluation-data.ts'
import type { AugmentSettings } from './labelled-batch.ts'
import type { Shots } from './labelled-features.ts'

export interface FinetuneSettings extends AugmentSettings {
  readonly epochs: number
  readonly batchSize: number
  /** Micro-batches per step. */
  readonly accumulate: number
  /** Per 256 images of a step. */
  readonly baseLearningRate: number
  readonly minLearningRate: number
  /** Null: 5, or a quarter of the epochs if that is less. */
  readonly warmupEpochs: number | null
  readonly weightDecay: number
  readonly layerDecay: number
  readonly dropPath: number
  /** What the head reads. */
  readonly head: TrainedHeadName
  /** Decay of an EMA of the weights, which is scored too; null for none. */
  readonly ema: number | null
  /** Train on this many images per class, redrawn for each seed; null for all. */
  readonly shots: Shots | null
  /** Number of last blocks that are trained with the head; null for the whole encoder. */
  readonly blocks: number | null
  /** How the encoder learns; default: all of it. The head learns in any case. */
  readonly adapt?: Adaptation
}

/** He et al. 2021, table 9, for ViT-Base; 5 of 100 epochs warm up. */
export const finetuneDefaults: FinetuneSettings = {
  ...{
    epochs: 100,
    batchSize: 128,
    accumulate: 1,
    baseLearningRate: 5e-4,
    minLearningRate: 1e-6,
    warmupEpochs: null,
  },
  ...{ weightDecay: 0.05, layerDecay: 0.65, dropPath: 0.1, mixup: 0.8, cutmix: 1, smoothing: 0.1 },
  ...{ randAugment: randAugmentDefaults.magnitude, erasing: 0.25 },
  ...{ head: 'mean', ema: null, shots: null, blocks: null },
}

/** Where the encoder stays and few numbers learn: all layers alike, and faster. */
export const adaptedDefaults = { baseLearningRate: 5e-3, layerDecay: 1 } as const

export type Validation = { readonly dir: string } | { readonly share: number }

export interface FinetuneOptions {
  readonly encoder: OpenedEncoder
  readonly data: EvaluationData
  readonly settings: FinetuneSettings
  readonly seeds: readonly number[]
  /** By default the configuration's `train.precision`, whatever the encoder was opened in. */
  readonly precision?: PrecisionName | undefined
  /** Start from random weights. */
  readonly fromScratch: boolean
  /**
   * Images that choose the epoch whose weights count; default: `data.validation`, or null, and the last epoch counts. A share is taken of each
   * class of the training images, which are then not learned from.
   */
  readonly validation?: Validation | null | undefined
  /** A folder for what is done so far: the same call continues from there, to the same weights and scores. */
  readonly work?: string | undefined
  /** Default: 120. */
  readonly keepEverySeconds?: number | undefined
  /**
   * Where to save the classifier of the first seed, to which the report's scores and confusion matrix belong, as soon as it is trained;
   * with averaged weights if `ema` is set, of the best epoch if there are validation images. Not the best seed: nothing is selected on the test
   * images.
   */
  readonly save?: string
  /** Where images are between epochs, of training and of scoring; default: none. What is learned from is also on the device with `device`. */
  readonly cache?: CacheKind | undefined
  /** Called with settings that were adapted to the run. */
  readonly onNote?: (note: string) => void
  readonly onStep?: (event: StepEvent, seed: number, totalSteps: number) => void
  readonly onValidated?: (event: { seed: number; epoch: number; top1: number; isBest: boolean }) => void
  readonly signal: AbortSignal
}

export interface Images {
  readonly train: ImageSource
  readonly test: ImageSource
  /** They choose the epoch. */
  readonly validation: OpenedValidation | null
}

export interface OpenedValidation {
  readonly source: ImageSource
  /** For people: `a folder`, or `10 % of …`. */
  readonly name: string
  /** Whether these are the test images. */
  readonly isTest: boolean
}

/**
 * The head for an encoder. The own output of one with `fc_norm` is the mean behind it. Throws `USAGE` for a head that reads what the encoder
 * lacks.
 */
export function headFor(encoder: OpenedEncoder, { head }: Pick<FinetuneSettings, 'head'>): TrainedHeadName {
  const own = head === 'pooled' && encoder.norm === 'fc_norm' ? 'mean' : head
  const able = headsOf(encoder)
  if (able.includes(own)) return own
  throw new SherdError(
    'USAGE',
    `A head on ${head} needs what this encoder has not: ${encoder.origin.path} can be trained with --head ${able.join(', ')}.`,
  )
}

const WARM_UP = { epochs: 5, share: 1 / 4 } // of epochs, at most

/** Throws `VALUE` for a warm-up as long as the run. */
export function warmupOf({ epochs, warmupEpochs }: FinetuneSettings): {
  epochs: number
  note: string | null
} {
  if (warmupEpochs !== null && warmupEpochs >= epochs)
    throw new SherdError(
      'VALUE',
      `A warm-up of ${warmupEpochs} epochs covers all ${epochs} of them: give less with --warm-up, or more with --epochs.`,
    )
  const most = epochs * WARM_UP.share
  if (warmupEpochs !== null || WARM_UP.epochs <= most)
    return { epochs: warmupEpochs ?? WARM_UP.epochs, note: null }
  return {
    epochs: most,
    note: `the warm-up is ${most} epoch${most === 1 ? '' : 's'}: the usual ${WARM_UP.epochs} are more than a quarter of ${epochs} (--warm-up says another)`,
  }
}
