/**
 * The first half of a step: losses, gradients and stats of its micro-batches. Each is computed and freed as it arrives, unless the loss
 * depends on the others (features of all rows, unequal counts, first values): then they stay on the device until the last one.
 */
import { alone } from '../collective/collective.ts'
import { SherdError } from '../errors.ts'
import { type Weights, weightsOf } from '../model/parameters.ts'
import { totalOf } from '../objective/losses.ts'
import type { At, Losses, Tensors } from '../objective/objective.ts'
import { autocast, noGrad } from '../tensor/context.ts'
import type { NotFinite } from '../tensor/finite.ts'
import { withKernels } from '../tensor/fused.ts'
import { clone } from '../tensor/ops.ts'
import { type Owned, withOwner } from '../tensor/ownership.ts'
import { backwardRecomputing, withRecompute } from '../tensor/recompute.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { SampleAddresses } from '../token/mask.ts'
import { collectFeatures, joined } from './cached-features.ts'
import { sharesOf } from './shares.ts'
import { untimed } from './span.ts'
import { expectState, firstWrong } from './state.ts'
import { openStats, type Stats } from './stats.ts'
import { openTally, type Tally } from './tally.ts'
import type { Prepared, Sampled, StepRequest, Trainee } from './trainee.ts'
import { traceLoss } from './trouble.ts'
import { isFresh } from './update.ts'

type ShareOf = (part: string) => number

export interface Collecting<Batch> {
  add(make: () => Sampled<Batch>): void
  /** Computes pending micro-batches. */
  finish(): void
  dispose(): void
  readonly tally: Tally
  /** Whether a rank has a non-finite loss; the rest is then skipped. */
  isLost(): boolean
  readonly stats: Stats
  /** As the loss sees them. */
  weights(): Weights
  /** Of all samples of this rank. */
  at(): At
  /** The first non-finite tensor, if the loss is not finite. */
  first(): NotFinite | null
}

/** `pending`: new values that the loss uses and the end of the step writes; first values of state are added. */
export function openCollecting<Batch, Plan>(
  trainee: Trainee<Batch, Plan>,
  { parts, ...request }: StepRequest,
  pending: Map<string, Tensor>,
): Collecting<Batch> {
  const { objective, parameters, device, precision, kernels = 'fused', seed } = trainee
  const { collective = alone, span = untimed } = trainee
  const all = parts * collective.world
  const isFirst = objective.first !== undefined && isFresh(trainee.state)
  const mustWait = 'features' in objective || isFirst || (all > 1 && objective.counts !== undefined)
  const waiting: Prepared<Batch, Plan>[] = []
  const kept: Owned[] = [] // tensors made for them, without those that they only reference
  const addresses: SampleAddresses[] = []
  let added = 0
  const [tally, stats] = [openTally(), openStats(objective.stats)]
  const seen = () => (pending.size > 0 ? new Map([...parameters, ...pending]) : parameters)
  let weights = weightsOf(seen())
  let first: NotFinite | null = null
  let isLost = false

  const atOf = (samples: SampleAddresses, firstRow: number, rows: number): At => ({
    ...{ ...request, seed, samples, firstRow, rows, collective },
  })
  const wholeAt = (): At => {
    const allOf = (key: keyof SampleAddresses) => addresses.flatMap((each) => Array.from(each[key]))
    const [epochs, indices] = [allOf('epochs'), allOf('indices')]
    return atOf({ epochs, indices }, collective.rank * indices.length, indices.length * collective.world)
  }
  const prepare = (make: () => Sampled<Batch>): Prepared<Batch, Plan> => {
    const { batch, samples } = span('upload', make)
    const size = samples.indices.length
    addresses[added] = samples // already recorded when tracing
    const at = atOf(samples, (collective.rank * parts + added) * size, size * all)
    const plan = span('masks', () => noGrad(() => computing(() => objective.plan(at, batch, weights))))
    return { batch, at, plan }
  }
  const computing = <T>(body: () => T): T =>
    withKernels(kernels, () => autocast({ device, dtype: precision }, body))
  const recording = (body: () => void): void =>
    scope(() => (trainee.recompute ? withRecompute(body) : body()))
  /** Of a micro-batch, or of the rows of several. */
  const lossOf = (made: readonly Prepared<Batch, Plan>[]): Losses => {
    const [{ batch, plan, at }] = made as [Prepared<Batch, Plan>]
    if (!('features' in objective)) return objective.loss(weights, batch, plan, at)
    const features = made.map((each): Tensors => objective.features(weights, each.batch, each.plan, each.at))
    return made.length === 1
      ? objective.lossOfRows(weights, features[0]!, at)
      : objective.lossOfRows(weights, joined(features), wholeAt())
  }
  const goBack = (losses: Losses, shareOf: ShareOf): void => {
    span('backward', () => {
      backwardRecomputing([totalOf(losses, shareOf)])
      tally.add(losses, shareOf) // waits for a GPU
      stats.add(losses.stats)
    })
  }
  /** Ranks agree first, since a loss may exchange rows: either all continue, or all trace and stop. */
  const trace = (again: () => readonly Prepared<Batch, Plan>[]): void => {
    if (collective.agree(tally.isFinite())) return
    isLost = true
    first = traceLoss(seen(), () => {
      const made = again()
      return {
        batches: made.map(({ batch }) => batch),
        forward: () => computing(() => lossOf(made)),
      }
    })
  }
  const collect = (prepared: () => Prepared<Batch, Plan>, shareOf: ShareOf): void => {
    if (isLost) return
    recording(() => {
      const one = prepared()
      goBack(
        span('forward', () => computing(() => lossOf([one]))),
        shareOf,
      )
    })
    trace(() => [prepared()])
  }

  return {
    add(make) {
      const prepared = () => prepare(make)
      if (mustWait) waiting.push(withOwner(kept, () => scope(prepared)))
      else collect(prepared, () => 1 / all)
      added++
    },
    finish() {
      if (added !== parts)
        throw new SherdError('BUG', `Bug: a step of ${parts} micro-batches was given ${added}`)
      if (!mustWait) return
      if (isFirst) {
        span('first values', () =>
          noGrad(() =>
            scope(() => {
              const made = computing(() => objective.first!(weights, waiting, wholeAt()))
              first = firstWrong(expectState(objective, made), 'first')
              for (const [name, value] of Object.entries(made))
                pending.set(
                  name,
                  unscoped(() => clone(value)),
                )
            }),
          ),
        )
        isLost = !collective.agree(first === null)
        if (isLost) return
        weights = weightsOf(seen())
      }
      const shares = span('forward', () => sharesOf(waiting, trainee))
      if ('features' in objective && waiting.length > 1) {
        const options = { weights, waiting, at: wholeAt(), computing, recording, span }
        collectFeatures(objective, options, (losses) => goBack(losses, shares.ofAll))
        trace(() => waiting)
      } else {
        for (const [i, each] of waiting.entries()) collect(() => each, shares.of(i))
      }
    },
    dispose() {
      for (const each of kept) each.dispose()
      stats.dispose()
    },
    ...{ tally, stats, weights: () => weights, at: wholeAt, first: () => first, isLost: () => isLost },
  }
}
