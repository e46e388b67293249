/** What other programs say about preparing images: `preprocessor_config.json` of transformers, `pretrained_cfg` of timm. */
import { z } from 'zod'
import { SherdError } from '../errors.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'

const numbers = z.array(z.number()).min(1)
const perChannel = z.union([numbers, z.number()])
const preprocessorSchema = z.object({
  image_processor_type: z.string().optional(),
  feature_extractor_type: z.string().optional(),
  image_mean: perChannel.nullish(),
  image_std: perChannel.nullish(),
  do_normalize: z.boolean().nullish(),
  do_rescale: z.boolean().nullish(),
  rescale_factor: z.number().positive().nullish(),
  rescale_offset: z.boolean().nullish(),
  do_flip_channel_order: z.boolean().nullish(),
})

/** Throws `CHECKPOINT`. */
export function parsed<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new SherdError('CHECKPOINT', `${what}: ${z.prettifyError(result.error)}`)
}

export function statisticsFrom(
  mean: number[] | undefined,
  std: number[] | undefined,
): ChannelStatistics | null {
  if (!mean || !std || mean.length !== std.length) return null
  if (!std.every((value) => value > 0))
    throw new SherdError('CHECKPOINT', `it divides images by ${std.join(', ')}: deviations are above 0`)
  return { mean, std }
}

/** transformers' default mean and std of ViT. */
const HALF = [0.5, 0.5, 0.5]
const ofViT = /^ViT(?:Image|Feature)/

/** An image processor of transformers computes (x · factor − mean) / std, with optional steps; converted to (x / 255 − mean) / std. */
function processed(json: unknown, what: string): ChannelStatistics | null {
  const given = parsed(preprocessorSchema, json ?? {}, what)
  if (given.rescale_offset || given.do_flip_channel_order)
    throw new SherdError(
      'CHECKPOINT',
      `${what}: ${given.rescale_offset ? 'rescale_offset' : 'do_flip_channel_order'} is not done here: give --statistics, or images as the model takes them`,
    )
  const isOfViT = ofViT.test(given.image_processor_type ?? given.feature_extractor_type ?? '')
  const listOf = (value: number | number[] | null | undefined) =>
    typeof value === 'number' ? [value, value, value] : (value ?? (isOfViT ? HALF : undefined))
  const channels = listOf(given.image_mean)?.length ?? 3
  const isNormalised = given.do_normalize ?? true
  const own = isNormalised
    ? statisticsFrom(listOf(given.image_mean), listOf(given.image_std))
    : { mean: Array(channels).fill(0), std: Array(channels).fill(1) }
  const factor = (given.do_rescale ?? true) ? 255 * (given.rescale_factor ?? 1 / 255) : 255
  if (!own || Math.abs(factor - 1) < 1e-9) return own
  return { mean: own.mean.map((value) => value / factor), std: own.std.map((value) => value / factor) }
}

/** Statistics from a `preprocessor_config.json`, a `run.json` or an object of mean and std. */
export function statisticsOf(json: unknown, what: string): ChannelStatistics | null {
  const limits = z.array(z.number().nullable()).optional()
  const own = z.object({ mean: numbers, std: numbers, low: limits, high: limits })
  for (const value of [json, (json as { statistics?: unknown } | null)?.statistics]) {
    const found = own.safeParse(value)
    if (found.success) return { ...found.data, ...statisticsFrom(found.data.mean, found.data.std) }
  }
  return processed(json, what)
}
