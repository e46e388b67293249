/** The second half of a step: reduces gradients over ranks, clips, steps the optimizer, writes state and averages; or nothing. */
import { alone, type Collective } from '../collective/collective.ts'
import { learnedIn, type Parameters, type Weights } from '../model/parameters.ts'
import type { At } from '../objective/objective.ts'
import { expectReached, type Gradients, gradientsOf } from '../optim/gradients.ts'
import { updatesTaken } from '../optim/optimizer.ts'
import { update } from '../optim/update.ts'
import { callInPlace } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import type { NotFinite } from '../tensor/finite.ts'
import { zerosLike } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, type Tensor, toFloats } from '../tensor/tensor.ts'
import { moveAverages } from './averages.ts'
import { expectState, firstWrong } from './state.ts'
import type { Stats } from './stats.ts'
import type { Trainee } from './trainee.ts'
import { traceGradients } from './trouble.ts'

export interface Update {
  /** New values that the loss has used, written here. */
  readonly pending: ReadonlyMap<string, Tensor>
  readonly weights: Weights
  readonly stats: Stats
  readonly at: At
}

/** Sums over ranks. A gradient is absent only if no rank has it; ranks without it contribute zeros. */
function reduced(collective: Collective, learned: Parameters): Gradients {
  const own = gradientsOf(learned)
  if (collective.world === 1) return own
  const names = [...learned.keys()]
  const present = fromArray(
    Float32Array.from(names, (name) => (own.has(name) ? 1 : 0)),
    [names.length],
    'float32',
  )
  collective.allReduce([present])
  const reached = toFloats(present)
  const all = new Map(
    names
      .filter((_, i) => reached[i]! > 0)
      .map((name) => [name, own.get(name) ?? zerosLike(learned.get(name)!)]),
  )
  collective.allReduce([...all.values()])
  return all
}

/**
 * Performs all writes of a step. Returns the gradient norm before clipping, and what was not finite; then nothing has changed. New state is
 * computed first, from the weights of the loss, so that it can be checked before anything is written.
 */
export function applyUpdate<Batch, Plan>(
  trainee: Trainee<Batch, Plan>,
  { pending, weights, stats, at }: Update,
): { readonly gradientNorm: number; readonly first: NotFinite | null } {
  const { objective, parameters, optimizer, state, clip, collective = alone } = trainee
  return scope(() => {
    const learned = learnedIn(objective.rows, parameters)
    const gradients = expectReached(learned, reduced(collective, learned), objective.unreached)
    const values = objective.update
      ? expectState(
          objective,
          noGrad(() => objective.update!(weights, stats.read(collective), at)),
        )
      : {}
    const wrong = firstWrong(values, 'new')
    if (!collective.agree(wrong === null)) return { gradientNorm: Number.NaN, first: wrong }
    const gradientNorm = update(learned, gradients, state, {
      ...{ optimizer, clip, step: at.step, epoch: at.epoch },
      groups: [...(objective.groups ?? []), ...trainee.groups],
      learningRate: at.value.learningRate!,
      weightDecay: at.value.weightDecay!,
    })
    if (!Number.isFinite(gradientNorm)) return { gradientNorm, first: traceGradients(learned) }
    noGrad(() => {
      for (const [name, value] of [...pending, ...Object.entries(values)])
        callInPlace('copy_', parameters.get(name)!, value)
    })
    moveAverages(trainee, at.value)
    return { gradientNorm, first: null }
  })
}

export const isFresh = (state: Trainee['state']): boolean => updatesTaken(state) === 0
