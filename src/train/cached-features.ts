/**
 * Gradient caching (Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup"): the loss of all rows of a
 * step, with the memory of one micro-batch of activations.
 */
import type { Weights } from '../model/parameters.ts'
import type { At, Losses, RowsObjective, Tensors } from '../objective/objective.ts'
import { gradient, noGrad, requireGradient, requiresGradient } from '../tensor/context.ts'
import { cat, narrow } from '../tensor/ops.ts'
import { backwardRecomputing } from '../tensor/recompute.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Span } from './span.ts'
import type { Prepared } from './trainee.ts'

export interface CachedOptions<Batch, Plan> {
  readonly weights: Weights
  readonly waiting: readonly Prepared<Batch, Plan>[]
  /** Of all rows. */
  readonly at: At
  /** Runs a body with the step's kernels and precision. */
  readonly computing: <T>(body: () => T) => T
  /** Runs a body with gradients. */
  readonly recording: (body: () => void) => void
  readonly span: Span
}

/** Concatenates the features of micro-batches. */
export const joined = (features: readonly Tensors[]): Tensors =>
  Object.fromEntries(
    Object.keys(features[0]!).map((name) => [
      name,
      cat(
        features.map((each) => each[name]!),
        0,
      ),
    ]),
  )

const isFloating = ({ dtype }: Tensor) => /float/u.test(dtype)

/** Computes the gradients of a loss over the features of all micro-batches. `toGradients`: backward of the loss. */
export function collectFeatures<Batch, Plan>(
  objective: RowsObjective<Batch, Plan>,
  { weights, waiting, at, computing, recording, span }: CachedOptions<Batch, Plan>,
  toGradients: (losses: Losses) => void,
): void {
  const featuresOf = ({ batch, plan, at: own }: Prepared<Batch, Plan>): Tensors =>
    span('forward', () => computing(() => objective.features(weights, batch, plan, own)))
  // A feature may be a tensor of the batch, which this scope does not free.
  scope(() => {
    const cached = waiting.map((each) => noGrad(() => scope(() => featuresOf(each))))
    const rows = span('forward', () => noGrad(() => joined(cached)))
    for (const each of Object.values(rows)) if (isFloating(each)) requireGradient(each)
    const names = Object.keys(rows)
    recording(() =>
      toGradients(span('forward', () => computing(() => objective.lossOfRows(weights, rows, at)))),
    )
    const starts = new Map(names.map((name) => [name, 0]))
    for (const [i, each] of waiting.entries())
      recording(() => {
        const fresh = featuresOf(each)
        const reachedOf = () =>
          names.flatMap((name) => {
            const size = cached[i]![name]!.shape[0]!
            const start = starts.get(name)!
            starts.set(name, start + size)
            const whole = isFloating(rows[name]!) ? gradient(rows[name]!) : null
            return whole && requiresGradient(fresh[name]!)
              ? [[fresh[name]!, narrow(whole, 0, start, size)] as const]
              : []
          })
        span('backward', () => {
          const reached = reachedOf()
          if (reached.length > 0)
            backwardRecomputing(
              reached.map(([x]) => x),
              reached.map(([, g]) => g),
            )
        })
      })
  })
}
