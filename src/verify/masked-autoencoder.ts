/** Masked autoencoders as reference files describe them, those of several bands, dates and scales among them. */
import { z } from 'zod'
import { limits } from '../model/dimensions.ts'
import { mae } from '../objective/mae.ts'
import type { MaskedObjective } from '../objective/masked.ts'
import type { ImageBatch } from '../objective/objective.ts'
import { viewOf, withoutNaN } from '../prepare/view.ts'
import { bandStatistics } from '../target/band-pixels.ts'
import { predictPixels } from '../target/pixel-target.ts'
import { select, toDevice } from '../tensor/ops.ts'
import { type Device, toArray, toFloats } from '../tensor/tensor.ts'
import { sidesOf } from '../token/grid.ts'
import { type MaskPlan, maskOf } from '../token/mask.ts'
import { timeFieldNames } from '../token/sine-cosine.ts'
import type { Given, NetworkRow } from './network-row.ts'

const upTo = (most: number) => z.number().int().positive().max(most)

const maskedAutoencoderConfig = z.strictObject({
  imageSize: z.tuple([upTo(limits.side), upTo(limits.side)]),
  patchSize: z.union([upTo(limits.patchSize), z.tuple([upTo(limits.patchSize), upTo(limits.patchSize)])]),
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
type Config = z.infer<typeof maskedAutoencoderConfig>

function maskedAutoencoderOf(config: Config, device: Device): MaskedObjective {
  const {
    imageSize,
    patchSize: patch,
    channels,
    width,
    depth,
    heads,
    mlpRatio,
    layerNormEpsilon,
    ...others
  } = config
  const { decoderWidth, decoderDepth, decoderHeads, decoderGroupWidth, ...more } = others
  const { normalizeTarget: normalize, statistics, scales, upscaleWidth, compat = null, ...tokens } = more
  const { kept, groups, time, referenceResolution, ...rest } = tokens
  return mae({
    dimensions: {
      imageSize,
      patchSize: sidesOf(patch),
      channels,
      width,
      depth,
      heads,
      mlpRatio,
      layerNormEpsilon,
    },
    decoder: {
      ...{ width: decoderWidth, depth: decoderDepth, heads: decoderHeads, groupWidth: decoderGroupWidth },
      ...{ timeWidth: time?.decoderWidth ?? 0, compat },
    },
    ...{ device, ...rest },
    ...{ groups: groups ?? null, time: time ?? null, kept: kept ?? null },
    referenceResolution: referenceResolution ?? null,
    target: predictPixels({
      ...{ normalize, statistics, compat },
      scales: scales ? { scales, width: upscaleWidth ?? 0 } : null,
    }),
  })
}

const UNKNOWN_TIME = -(2n ** 62n)
const milliseconds = (seconds: bigint) => (seconds === UNKNOWN_TIME ? Number.NaN : 1000 * Number(seconds))

/** The images with what the file says about them. NaN is no data. Called inside a scope. */
function batchOf({ tensors, tensor, device }: Given): ImageBatch {
  const { pixels, valid } = withoutNaN(viewOf(tensor('input.images')).pixels)
  const times = tensors.get('input.times')
  const resolution = tensors.get('input.resolution')
  const image = {
    pixels: toDevice(pixels, device),
    valid: valid && toDevice(valid, device),
    times: times ? Float64Array.from(toArray(times) as BigInt64Array, milliseconds) : null,
    resolution: resolution ? Float64Array.from(toFloats(resolution)) : null,
  }
  return { image }
}

export const maskedAutoencoder: NetworkRow<Config, ImageBatch, MaskPlan> = {
  config: maskedAutoencoderConfig,
  tolerances: 'mae',
  open(config, given) {
    const objective = maskedAutoencoderOf(config, given.device)
    return {
      objective,
      samples: given.tensor('input.images').shape[0]!,
      batch: () => batchOf(given),
      plan: ({ step }, { image }) =>
        objective.planFromNoise(select(given.tensor('input.noise'), 0, step), image),
      outputs(weights, { image }, plan) {
        const { latent, prediction } = objective.predict(weights, image, plan)
        return { pred: prediction, mask: maskOf(plan), latent }
      },
    }
  },
}
