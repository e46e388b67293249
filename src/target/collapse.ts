/**
 * Signs of a collapse, in which a teacher that follows its student says the same of every image: deviations of what is predicted, and the loss
 * of predicting the mean, below which a model has learned something.
 */
import { cat, mean, meanOver, sqrt, toDtype, varianceOver } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Alarm } from './metric.ts'
import type { TargetMetric } from './target.ts'
import type { TokenValues } from './token-target.ts'

type ErrorOf = (predicted: Tensor, wanted: Tensor) => Tensor

/** The mean deviation of vectors [B, N, D] over the samples at each place; of a single sample over its tokens. A scalar. */
export const deviationOfSamples = (x: Tensor): Tensor => deviationOver(x, x.shape[0]! > 1 ? 0 : 1)

/** The mean deviation over one dimension. A scalar. */
export const deviationOver = (x: Tensor, dim: number): Tensor =>
  mean(sqrt(varianceOver(x, [dim], { unbiased: false })))

/** The loss of always predicting the mean of the rows [n, D]. A scalar. */
export const lossOfMean = (rows: Tensor, error: ErrorOf): Tensor => mean(error(expandedMean(rows), rows))

const expandedMean = (rows: Tensor): Tensor => meanOver(rows, [0], true)

const joined = (x: readonly Tensor[], dim: number) => (x.length === 1 ? x[0]! : cat(x, dim))

/** `error`: of each of some rows, as the loss counts it. */
export const collapseMetrics = (error: ErrorOf): Readonly<Record<string, TargetMetric<TokenValues>>> => ({
  targetDeviation: {
    measure: (_, { all }) => deviationOfSamples(joined(all, 1)),
    alarm: targetAlarm,
  },
  predictionDeviation: {
    measure: (predictions) => deviationOver(toDtype(joined(predictions, 0), 'float32'), 0),
  },
  lossOfMean: { measure: (_, { wanted }) => lossOfMean(joined(wanted, 0), error) },
})

/**
 * Of features that are normed, so that 1 is all there can be. Healthy runs of the tiny presets never left 0.18 to 0.93, from the first step on; a
 * teacher that was its student of the step before fell to 0.02. What is predicted has no alarm: it begins near 0 and stays there through a slow
 * warm-up, and where it stays longer the loss is no better than `lossOfMean`.
 */
export const targetAlarm: Alarm = {
  ...{ below: 0.05, forSteps: 100 },
  text: 'The teacher says nearly the same of every image: it has collapsed, and the loss means nothing. A momentum nearer to 1, a lower learning rate or a longer warm-up help; start again from a checkpoint before this.',
}
