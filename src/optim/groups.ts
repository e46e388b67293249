/**
 * Group rows: which parameters learn at another rate, without decay, clipped apart, or not yet. Each field of a row is looked up on its
 * own, and the first row that matches and sets it wins (as in big_vision), so that layer decay and "no decay of vectors" compose.
 */
import type { Shape } from '../tensor/tensor.ts'
import type { Clip, Clipping } from './gradients.ts'
import type { Rates } from './optimizer.ts'
import { type Duration, hasPassed, type When } from './schedule.ts'

export interface GroupRow {
  readonly match: RegExp | ((name: string, shape: Shape) => boolean)
  /** Times the learning rate. */
  readonly rate?: number | ((name: string) => number)
  /** Times the weight decay. */
  readonly decay?: number
  readonly clip?: Clip
  /** Updates, or epochs, before these parameters learn; Infinity: they never do. By default from the start, or never where `frozen` is set. */
  readonly frozenUntil?: Duration
  /**
   * What a frozen parameter misses: with `no-gradient` everything (DINO's last layer: no moment, no decay, no count), with `zero-rate` only
   * the change of its weights (DINOv2's: moments and count move). Default `no-gradient`.
   */
  readonly frozen?: 'no-gradient' | 'zero-rate'
}

/** The last row of every table: biases, norms and other vectors do not decay. A row before it with `decay: 1` takes that back. */
export const vectorsKeepTheirSize: GroupRow = { match: (_, shape) => shape.length < 2, decay: 0 }

const matches = ({ match }: GroupRow, name: string, shape: Shape): boolean =>
  match instanceof RegExp ? name.search(match) >= 0 : match(name, shape)

/** What the rows say about each parameter in one step. */
export interface Groups {
  ratesOf(name: string): Rates
  /** Parameters that have no gradient in this step. */
  readonly frozen: ReadonlySet<string>
  readonly clippings: readonly Clipping[]
}

export interface GroupOptions extends Pick<When, 'step' | 'epoch'> {
  readonly learningRate: number
  readonly weightDecay: number
}

/** Pure in its arguments. `parameters`: names with shapes, such as the parameters themselves. */
export function groupsAt(
  parameters: Iterable<readonly [name: string, { readonly shape: Shape }]>,
  rows: readonly GroupRow[],
  { learningRate, weightDecay, ...when }: GroupOptions,
): Groups {
  const table = [...rows, vectorsKeepTheirSize]
  const rates = new Map<string, Rates>()
  const frozen = new Set<string>()
  const clipped = new Map<GroupRow, string[]>()
  for (const [name, { shape }] of parameters) {
    const own = table.filter((row) => matches(row, name, shape))
    const first = <Field extends keyof GroupRow>(field: Field) => own.find((row) => row[field] !== undefined)
    const scale = first('rate')?.rate ?? 1
    const how = first('frozen')?.frozen
    const until = first('frozenUntil')?.frozenUntil ?? (how ? Number.POSITIVE_INFINITY : 0)
    const isFrozen = !hasPassed(until, when)
    if (isFrozen && how !== 'zero-rate') frozen.add(name)
    rates.set(name, {
      rate: isFrozen ? 0 : learningRate * (typeof scale === 'number' ? scale : scale(name)),
      decay: weightDecay * (first('decay')?.decay ?? 1),
    })
    const clip = first('clip')
    if (clip) clipped.set(clip, [...(clipped.get(clip) ?? []), name])
  }
  return {
    ratesOf: (name) => rates.get(name)!,
    frozen,
    clippings: [...clipped].map(([row, names]) => ({ clip: row.clip!, names })),
  }
}
