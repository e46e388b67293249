/** Exponential moving averages of weights: a teacher, a momentum encoder, the averaged weights of fine-tuning. */
import type { Parameters } from '../model/parameters.ts'
import { followedBy } from '../objective/averages.ts'
import type { Average, Objective } from '../objective/objective.ts'
import { call, callInPlace } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { unscoped } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'

interface Averaged {
  readonly objective: Pick<Objective, 'rows' | 'averages'>
  readonly parameters: Parameters
}
type Values = Readonly<Record<string, number>>

/** What moves at one moment, and by which share of the way, 1 − momentum. */
function moving({ objective }: Pick<Averaged, 'objective'>, when: Average['when']) {
  return (objective.averages ?? [])
    .filter((each) => each.when === when)
    .map((each) => {
      const { momentum } = each
      return {
        followed: followedBy(objective.rows, each).filter(({ moves }) => moves),
        shareAt: (value: Values) => 1 - (typeof momentum === 'number' ? momentum : value[momentum]!),
      }
    })
}

/** Those of `moveAverages`. */
export const averagesAfterStep = (trainee: Pick<Averaged, 'objective'>) => moving(trainee, 'after-step')

const due = (trainee: Pick<Averaged, 'objective'>, when: Average['when'], value: Values) =>
  moving(trainee, when).flatMap(({ followed, shareAt }) =>
    followed.map((names) => ({ ...names, share: shareAt(value) })),
  )

/** New values of the averages that move before the loss; written only if the step succeeds. */
export const averagesBeforeLoss = (trainee: Averaged, value: Values): Map<string, Tensor> =>
  noGrad(() =>
    unscoped(
      () =>
        new Map(
          due(trainee, 'before-loss', value).map(({ average, learned, share }) => {
            const { parameters } = trainee
            return [average, call('lerp.Scalar', parameters.get(average)!, parameters.get(learned)!, share)]
          }),
        ),
    ),
  )

/** Updates the others in place: average ← momentum · average + (1 − momentum) · weights. */
export function moveAverages({ objective, parameters }: Averaged, value: Values): void {
  noGrad(() => {
    for (const { average, learned, share } of due({ objective }, 'after-step', value))
      callInPlace('lerp_.Scalar', parameters.get(average)!, parameters.get(learned)!, share)
  })
}
