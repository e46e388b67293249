/** How images of another program's model were prepared. */
import { z } from 'zod'
import type { ForeignWeights } from './foreign.ts'
import { type Preparation, preprocessingOf, statisticsOf } from './preprocessing.ts'

/** Names of the channels, which only sherd writes. */
export function bandsWritten({ config }: Pick<ForeignWeights, 'config'>): readonly string[] | null {
  const own = z.object({ bands: z.array(z.string()).min(1) }).safeParse(config?.sherd)
  return own.success ? own.data.bands : null
}

/** Of bands only what sherd has written beside them is taken: other programs' words are about photographs. */
export function preparationOf(weights: ForeignWeights, family: string | null): Preparation {
  if (bandsWritten(weights) === null) return preprocessingOf(weights, family)
  const statistics = statisticsOf(weights.config?.sherd, `${weights.path}, config.json`)
  return { statistics, data: {}, imageSize: null, notes: [] }
}
