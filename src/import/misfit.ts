/** One message for weights that do not fit, whatever layout they are in: what is missing, left over, of another shape, or said otherwise. */
import { brief, SherdError } from '../errors.ts'

export const differences = ['missing', 'unexpected'] as const
export type Difference = (typeof differences)[number]

export interface Misfit {
  /** Their names. */
  readonly missing?: readonly string[]
  readonly unexpected?: readonly string[]
  /** With both shapes. */
  readonly misshapen?: readonly string[]
  /** What a configuration says, and the weights do not show. */
  readonly contradicted?: readonly string[]
}

const SHOWN = 8
/** Characters of a line of them: several parts of a joined parameter have one. */
const MOST = 500
const titles = {
  missing: 'missing',
  unexpected: 'unexpected',
  misshapen: 'of another shape',
  contradicted: 'not as the configuration says',
} as const satisfies Record<keyof Misfit, string>

/** Throws `CHECKPOINT` with lists of what is not allowed; `missing` and `unexpected` can be. */
export function expectFitting(misfit: Misfit, allow: readonly Difference[] = []): void {
  const kinds = (Object.keys(titles) as (keyof Misfit)[]).filter(
    (kind) => (misfit[kind]?.length ?? 0) > 0 && !(allow as readonly string[]).includes(kind),
  )
  if (kinds.length === 0) return
  const lines = kinds.map((kind) => {
    const names = misfit[kind]!
    return `  ${titles[kind]} (${names.length}): ${names
      .slice(0, SHOWN)
      .map((name) => brief(name, MOST))
      .join(', ')}${names.length > SHOWN ? ', …' : ''}`
  })
  const allowed = kinds.filter((kind) => (differences as readonly string[]).includes(kind))
  const advice =
    allowed.length < kinds.length
      ? []
      : [
          `  --allow ${allowed.join(',')} takes the rest${allowed.includes('unexpected') ? ', without what these parameters compute' : ''}.`,
        ]
  throw new SherdError('CHECKPOINT', ['The weights do not fit the model:', ...lines, ...advice].join('\n'))
}
