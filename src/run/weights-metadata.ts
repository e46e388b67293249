/** What a file of weights says of itself, so that it can be used where no run is around it. */
import { z } from 'zod'
import { resolveConfig } from '../config/resolve.ts'
import type { Config, ConfigInput } from '../config/schema.ts'
import { messageOf, SherdError } from '../errors.ts'
import type { Head } from '../model/classifier.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { sampleSize } from './assemble.ts'
import { statisticsSchema } from './folder.ts'

export interface WeightsOrigin {
  readonly config: Config
  /** What images were normalised by. */
  readonly statistics: ChannelStatistics
  /** Of a classifier: what its head reads, and the classes in the order of its logits. */
  readonly classifier?: { readonly head: Head; readonly classes: readonly string[] } | undefined
}

const KEY = 'sherd'
const schema = z.object({
  config: z.unknown(),
  statistics: statisticsSchema,
  classifier: z.object({ head: z.enum(['cls', 'mean']), classes: z.array(z.string()).min(1) }).optional(),
})

/** For the metadata of a safetensors file, which holds texts only. */
export const weightsMetadata = ({
  config,
  statistics,
  classifier,
}: WeightsOrigin): Record<string, string> => ({
  [KEY]: JSON.stringify({ config, statistics, classifier }),
})

/** What the metadata of a file says, or null when it says nothing. Throws `CHECKPOINT` when it cannot be understood. */
export function readWeightsMetadata(
  path: string,
  metadata: Readonly<Record<string, string>>,
): WeightsOrigin | null {
  const text = metadata[KEY]
  if (text === undefined) return null
  try {
    const { config: given, statistics, classifier } = schema.parse(JSON.parse(text))
    const config = resolveConfig(given as ConfigInput)
    const { channels } = sampleSize(config)
    if (statistics.mean.length !== channels || statistics.std.length !== channels)
      throw new Error(`statistics of ${statistics.mean.length} channels for images of ${channels}`)
    return { config, statistics, ...(classifier && { classifier }) }
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)
    throw new SherdError(
      'CHECKPOINT',
      `${path}: its metadata "${KEY}" is not of this version of sherd: ${why}`,
      {
        cause: error,
      },
    )
  }
}
