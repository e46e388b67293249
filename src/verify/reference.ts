/** Reference files: a small model's weights, input, outputs, gradients and trajectory from an independent PyTorch. */
import { z } from 'zod'
import { readSafetensors, readSafetensorsHeader } from '../checkpoint/safetensors.ts'
import { messageOf, SherdError } from '../errors.ts'
import { type DecoderDimensions, type EncoderDimensions, limits } from '../model/dimensions.ts'
import { bandStatistics } from '../target/band-pixels.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { timeFieldNames } from '../token/sine-cosine.ts'

const upTo = (most: number) => z.number().int().positive().max(most)

const configSchema = z.strictObject({
  imageSize: z.tuple([upTo(limits.side), upTo(limits.side)]),
  patchSize: upTo(limits.patchSize),
  channels: upTo(limits.channels),
  width: upTo(limits.width),
  depth: upTo(limits.depth),
  heads: upTo(limits.heads),
  decoderWidth: upTo(limits.width),
  decoderDepth: upTo(limits.depth),
  decoderHeads: upTo(limits.heads),
  mlpRatio: z.number().positive().max(limits.mlpRatio),
  maskRatio: z.number().gt(0).lt(1),
  normalizeTarget: z.boolean(),
  layerNormEpsilon: z.number().positive().default(1e-6),
  /** Of objective `satmae`; docs/verify.md has their meaning. */
  frames: upTo(limits.frames).default(1),
  kept: z.number().int().positive().optional(),
  statistics: z.enum(bandStatistics).default('group'),
  groups: z
    .array(z.array(z.number().int().min(0)).min(1))
    .min(1)
    .optional(),
  groupWidth: z.number().int().min(0).max(limits.width).default(0),
  decoderGroupWidth: z.number().int().min(0).max(limits.width).default(0),
  time: z
    .strictObject({
      fields: z.array(z.enum(timeFieldNames)).min(1),
      width: upTo(limits.width),
      decoderWidth: upTo(limits.width),
    })
    .optional(),
  referenceResolution: z.number().positive().optional(),
  scales: z.array(upTo(64)).min(1).max(8).optional(),
  upscaleWidth: upTo(limits.width).optional(),
  compat: z.literal('satmae').optional(),
})
const optimizerSchema = z.object({
  learningRate: z.number(),
  beta1: z.number(),
  beta2: z.number(),
  epsilon: z.number(),
  weightDecay: z.number(),
})

type ReferenceConfig = z.infer<typeof configSchema>
type DecoderKey = 'decoderWidth' | 'decoderDepth' | 'decoderHeads' | 'decoderGroupWidth'

export interface Reference {
  readonly objective: string
  readonly dimensions: EncoderDimensions
  readonly decoder: DecoderDimensions
  readonly maskRatio: number
  readonly normalizeTarget: boolean
  /** What is masked, seen and predicted, beyond the dimensions. */
  readonly shape: Omit<
    ReferenceConfig,
    keyof EncoderDimensions | DecoderKey | 'maskRatio' | 'normalizeTarget'
  >
  readonly optimizer: z.infer<typeof optimizerSchema>
  readonly tensors: ReadonlyMap<string, Tensor>
}

export function parseMetadata<S extends z.ZodType>(
  text: string | undefined,
  key: string,
  schema: S,
): z.infer<S> {
  try {
    return schema.parse(JSON.parse(text ?? ''))
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)
    throw new SherdError('VALUE', `its metadata "${key}" does not fit the reference format: ${why}`)
  }
}

const formats = ['sherd-reference/1', 'sherd-reference/2']

export interface Heading {
  readonly objective: string
  /** Another format of reference files, perhaps of a later version. */
  readonly otherFormat: string | null
}

/** What a file states of itself. Throws `CHECKPOINT` or `VALUE` when it is no reference file. */
export function headingOf(path: string): Heading {
  const { format = '', objective = '' } = readSafetensorsHeader(path).metadata
  const refuse = (why: string) =>
    new SherdError('VALUE', `${path} is not a reference file that sherd can check: ${why}`)
  if (!format.startsWith('sherd-'))
    throw refuse(
      `its format is ${format ? `"${format}"` : 'not stated'}, expected ${formats.map((each) => `"${each}"`).join(' or ')}`,
    )
  if (!formats.includes(format)) return { objective, otherFormat: format }
  if (!objective) throw refuse('its objective is not stated')
  return { objective, otherFormat: null }
}

/** Reads the reference file of a network. */
export function readReference(path: string): Reference {
  const { metadata, tensors } = readSafetensors(path)
  const config = parseMetadata(metadata.config, 'config', configSchema)
  const { imageSize, patchSize, channels, width, depth, heads, ...others } = config
  const { decoderWidth, decoderDepth, decoderHeads, decoderGroupWidth, ...rest } = others
  const { mlpRatio, layerNormEpsilon, maskRatio, normalizeTarget, ...shape } = rest
  return {
    objective: metadata.objective ?? '',
    dimensions: { imageSize, patchSize, channels, width, depth, heads, mlpRatio, layerNormEpsilon },
    decoder: {
      ...{ width: decoderWidth, depth: decoderDepth, heads: decoderHeads, groupWidth: decoderGroupWidth },
      timeWidth: shape.time?.decoderWidth ?? 0,
    },
    ...{ maskRatio, normalizeTarget, shape },
    optimizer: parseMetadata(metadata.optimizer, 'optimizer', optimizerSchema),
    tensors,
  }
}
