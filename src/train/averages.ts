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

/** The averages due at one moment, with 1 − momentum. */
function due({ objective }: Pick<Averaged, 'objective'>, when: Average['when'], value: Values) {
  return (objective.averages ?? [])
    .filter((each) => each.when === when)
    .flatMap((each) => {
      const { momentum } = each
      const kept = typeof momentum === 'number' ? momentum : value[momentum]!
      return followedBy(objective.rows, each)
        .filter(({ moves }) => moves)
        .map((names) => ({ ...names, share: 1 - kept }))
    })
}

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
