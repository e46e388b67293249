/** What a configuration learns, in words. */
import { targetOf } from '../target/targets.ts'
import type { MaskName } from '../token/keys.ts'
import { maskKinds } from '../token/mask-kinds.ts'
import type { MaskRatio } from '../token/mask-ratio.ts'
import { masksOf, targetKeysOf } from './resolve.ts'
import type { Config } from './schema.ts'
import { readOfModel } from './tables.ts'

const inWords = (kind: Exclude<MaskName, 'files'>): string =>
  kind === 'attention'
    ? ' by attention'
    : kind === 'loss'
      ? ', more and more the hardest'
      : maskKinds[kind].inWords

/** Which part is hidden and how, such as `75 % of the patches hidden in blocks`; null without masks. `of`: of what. */
export function hiddenInWords(config: Config, of = ''): string | null {
  const mask = masksOf(config)
  if (!mask) return null
  const percent = (ratio: number) => Number((100 * ratio).toFixed(2))
  if (mask.kind === 'files') return `${of && 'patches '}hidden by masks that come with the images`
  const { ratio, ratioTo = null, ratioSchedule }: MaskRatio = mask
  const share =
    ratioTo === null
      ? `${percent(ratio)} %`
      : `${percent(ratio)} to ${percent(ratioTo)} % (${ratioSchedule === 'linear' ? 'over the run' : 'drawn for each step'})`
  return `${share}${of} hidden${inWords(mask.kind)}`
}

/** What is predicted; null without a target. */
export function targetInWords(config: Config): string | null {
  const target = targetKeysOf(config)
  return target && targetOf(target).inWords
}

/** Which key says what is predicted: the kind of the target, or the objective where it has none. */
export function predictionInWords(config: Config): string {
  const target = targetKeysOf(config)
  return target ? `target.kind ${target.kind}` : `objective ${config.objective}`
}

/** What a model is good for once it is trained. */
export type Yield = 'features' | 'codes'

/** Features of an encoder that is a transformer, and codes of a codebook. */
export const yieldsOf = (config: Config): readonly Yield[] => [
  ...(readOfModel(config.objective) === null ? (['features'] as const) : []),
  ...('codebook' in config ? (['codes'] as const) : []),
]
