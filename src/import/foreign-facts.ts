/** What images of another program's model were normalised by, and which size they were given in. */
import { z } from 'zod'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import type { ForeignWeights } from './foreign.ts'
import { statisticsFrom, statisticsOf } from './preprocessing.ts'

const numbers = z.array(z.number()).min(1)
const meanAndStd = z.object({ mean: numbers, std: numbers })
/** Of timm, before 0.9 at the root of the file; and of OpenCLIP. */
const beside = z.object({ pretrained_cfg: meanAndStd.optional().catch(undefined) })
const ofOpenClip = z.object({ preprocess_cfg: meanAndStd })

/** Names of the channels, which only sherd writes. */
export function bandsWritten({ config }: Pick<ForeignWeights, 'config'>): readonly string[] | null {
  const own = z.object({ bands: z.array(z.string()).min(1) }).safeParse(config?.sherd)
  return own.success ? own.data.bands : null
}

export function foreignStatistics(weights: ForeignWeights): ChannelStatistics | null {
  const { config, preprocessor, openClip, path } = weights
  if (bandsWritten(weights)) {
    const written = statisticsOf(config?.sherd, `${path}, config.json`)
    if (written) return written
  }
  const clip = ofOpenClip.safeParse(openClip)
  if (clip.success) return statisticsFrom(clip.data.preprocess_cfg.mean, clip.data.preprocess_cfg.std)
  const nested = beside.safeParse(config ?? {})
  const root = meanAndStd.safeParse(config ?? {})
  const timm = nested.data?.pretrained_cfg ?? root.data
  if (timm) return statisticsFrom(timm.mean, timm.std)
  return preprocessor && statisticsOf(preprocessor, `${path}, preprocessor_config.json`)
}

const side = z.number().int().positive().max(16_384)
const sized = z.union([
  side.transform((n) => [n, n] as const),
  z.object({ height: side, width: side }).transform(({ height, width }) => [height, width] as const),
])
const cropping = z.object({
  do_center_crop: z.boolean().nullish(),
  crop_size: sized.optional().catch(undefined),
  size: sized.optional().catch(undefined),
})

/** [H, W] that an image processor of transformers makes; null where it says none. */
export function preparedSize({
  preprocessor,
}: Pick<ForeignWeights, 'preprocessor'>): readonly [number, number] | null {
  const { data } = cropping.safeParse(preprocessor ?? {})
  const cropped = data?.do_center_crop ? data.crop_size : undefined
  return cropped ?? data?.size ?? null
}
