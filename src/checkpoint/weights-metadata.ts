/** Metadata of files of weights, so that they can be used without their run. */
import { z } from 'zod'
import { sampleSize } from '../config/assemble.ts'
import type { Config } from '../config/schema.ts'
import { storedConfig } from '../config/stored.ts'
import { messageOf, SherdError } from '../errors.ts'
import { type Head, headNames } from '../model/classifier.ts'
import { type SegmentationHead, segmentationHeads } from '../model/segmentation-heads.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { statisticsSchema } from './run-folder.ts'

export interface ClassifierFacts {
  readonly head: Head
  /** In the order of the logits. */
  readonly classes: readonly string[]
  /** Classes are independent (sigmoid). */
  readonly isMultiLabel?: boolean | undefined
}

export interface SegmenterFacts {
  readonly head: SegmentationHead
  /** In the order of the logits. */
  readonly classes: readonly string[]
  /** Value of each class in the training masks. */
  readonly numbers: readonly number[]
  /** Ignored value in masks; -1 for none. */
  readonly ignored: number
}

export interface WeightsOrigin {
  readonly config: Config
  readonly statistics: ChannelStatistics
  readonly classifier?: ClassifierFacts | undefined
  readonly segmenter?: SegmenterFacts | undefined
  /** The bands of a head, if not all of the model's. */
  readonly bands?: readonly string[] | null | undefined
  /** The protocol of a head, such as `finetune`. */
  readonly protocol?: string | undefined
}

const KEY = 'sherd'
const classes = z.array(z.string()).min(1)
const segmenterSchema = z
  .object({
    head: z.enum(Object.keys(segmentationHeads) as [SegmentationHead, ...SegmentationHead[]]),
    classes,
    numbers: z.array(z.number().int().min(0).max(65_535)),
    ignored: z.number().int().min(-1).max(65_535),
  })
  .refine(({ classes, numbers }) => classes.length === numbers.length, 'a number for each class')
const schema = z.object({
  config: z.unknown(),
  statistics: statisticsSchema,
  classifier: z.object({ head: z.enum(headNames), classes, isMultiLabel: z.boolean().optional() }).optional(),
  segmenter: segmenterSchema.optional(),
  bands: z.array(z.string()).min(1).nullish(),
  protocol: z.string().optional(),
})

/** For the metadata of safetensors, whose values are strings. `encoder`: the prefix of the encoder where it is a part of the weights. */
export const weightsMetadata = (
  { config, statistics, classifier, segmenter, bands, protocol }: WeightsOrigin,
  encoder = '',
): Record<string, string> => ({
  [KEY]: JSON.stringify({
    ...{ config, statistics, classifier, segmenter, bands, protocol },
    ...(encoder && { encoder }),
  }),
})

/** The prefix of the encoder that is kept, by the metadata of a file; '' where it says nothing. */
export function encoderPrefix(metadata: Readonly<Record<string, string>>): string {
  try {
    const { encoder } = JSON.parse(metadata[KEY] ?? '{}') as { readonly encoder?: unknown }
    return typeof encoder === 'string' ? encoder : ''
  } catch {
    return '' // whatever else reads the metadata says that they are broken
  }
}

/** Null without metadata of sherd. Throws `CHECKPOINT` for invalid metadata. */
export function readWeightsMetadata(
  path: string,
  metadata: Readonly<Record<string, string>>,
): WeightsOrigin | null {
  const text = metadata[KEY]
  if (text === undefined) return null
  try {
    const { config: given, statistics, ...rest } = schema.parse(JSON.parse(text))
    const config = storedConfig(given)
    const { channels } = sampleSize(config)
    if (statistics.mean.length !== channels || statistics.std.length !== channels)
      throw new Error(`statistics of ${statistics.mean.length} channels for images of ${channels}`)
    return { config, statistics, ...rest }
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)
    throw new SherdError(
      'CHECKPOINT',
      `${path}: its metadata "${KEY}" is not of this version of sherd: ${why}`,
      { cause: error },
    )
  }
}
