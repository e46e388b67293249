/**
 * Group rows: learning rate, decay, clipping and freezing by parameter. Each field is looked up separately, and the first matching row
 * that sets it wins (as in big_vision), so that layer decay and "no decay of vectors" compose.
 */
import type { Shape } from '../tensor/tensor.ts'
import type { Clip, Clipping } from './gradients.ts'
import type { Rates } from './optimizer.ts'
import { type Duration, hasPassed, type When } from './schedule.ts'

export interface GroupRow {
  readonly match: RegExp | ((name: string, shape: Shape) => boolean)
  /** Multiplies the learning rate. */
  readonly rate?: number | ((name: string) => number)
  /** Multiplies the weight decay. */
  readonly decay?: number
  readonly clip?: Clip
  /** Updates or epochs before the parameters are trained; Infinity: never. Default 0, or Infinity if `frozen` is set. */
  readonly frozenUntil?: Duration
  /**
   * `no-gradient`: frozen parameters get no moment, decay or count (DINO's last layer); `zero-rate`: only their weights do not change
   * (DINOv2's last layer). Default `no-gradient`.
   */
  readonly frozen?: 'no-gradient' | 'zero-rate'
}

/** The last row of every table: no decay of biases, norms and other vectors. An earlier row with `decay: 1` overrides it. */
export const vectorsKeepTheirSize: GroupRow = { match: (_, shape) => shape.length < 2, decay: 0 }

const matches = ({ match }: GroupRow, name: string, shape: Shape): boolean =>
  match instanceof RegExp ? name.search(match) >= 0 : match(name, shape)

/** The rows evaluated for each parameter at a step. */
export interface Groups {
  ratesOf(name: string): Rates
  /** Parameters without a gradient in this step. */
  readonly frozen: ReadonlySet<string>
  readonly clippings: readonly Clipping[]
}

export interface GroupOptions extends Pick<When, 'step' | 'epoch'> {
  readonly learningRate: number
  readonly weightDecay: number
}

/** `parameters`: names with shapes, such as the parameters themselves. */
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
