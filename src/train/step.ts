/**
 * A training step: averages due before the loss, loss and gradient of each micro-batch, then clipping, optimizer, new state and averages,
 * which are written only if everything is finite. Used by pretraining, fine-tuning, heads on frozen features and the benchmark; independent
 * of the objective.
 */
import { alone } from '../collective/collective.ts'
import { SherdError } from '../errors.ts'
import type { At, Objective } from '../objective/objective.ts'
import { clearGradients } from '../tensor/context.ts'
import type { NotFinite } from '../tensor/finite.ts'
import { disposeAll } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { averagesBeforeLoss } from './averages.ts'
import { openCollecting } from './collect.ts'
import { untimed } from './span.ts'
import type { Sampled, StepRequest, Trainee } from './trainee.ts'
import { applyUpdate } from './update.ts'

export interface StepResult {
  /** Whether loss, gradients and new state were finite; otherwise nothing was written. */
  readonly isFinite: boolean
  /** The mean over the step's samples, before the update. */
  readonly loss: number
  /** Parts of the loss, unweighted. */
  readonly parts: Readonly<Record<string, number>>
  readonly metrics: Readonly<Record<string, number>>
  /** Of all gradients, before clipping; NaN if the loss was not finite. */
  readonly gradientNorm: number
  /** The first non-finite tensor; null if tracing found none. */
  readonly first: NotFinite | null
}

export interface OpenStep<Batch> {
  /** Adds a micro-batch. The step frees what `make` creates. */
  add(make: () => Sampled<Batch>): void
  finish(): StepResult
  /** Ends the step without writing anything. */
  abandon(): void
}

/** Throws `BUG` if a schedule has no finite value in this step. */
function expectValues(
  { schedules = {}, averages = [] }: Pick<Objective, 'schedules' | 'averages'>,
  value: At['value'],
) {
  const momenta = averages.flatMap(({ momentum }) => (typeof momentum === 'string' ? [momentum] : []))
  const names = ['learningRate', 'weightDecay', ...Object.keys(schedules), ...momenta]
  const missing = names.find((name) => !Number.isFinite(value[name]))
  if (missing !== undefined)
    throw new SherdError('BUG', `Bug: the schedule "${missing}" has the value ${value[missing]} in this step`)
}

export function beginStep<Batch, Plan>(trainee: Trainee<Batch, Plan>, request: StepRequest): OpenStep<Batch> {
  const { collective = alone, span = untimed } = trainee
  expectValues(trainee.objective, request.value)
  clearGradients(trainee.parameters.values())
  const pending: Map<string, Tensor> = trainee.objective.averages
    ? span('averages', () => averagesBeforeLoss(trainee, request.value))
    : new Map()
  const collecting = openCollecting(trainee, request, pending)
  const result = (gradientNorm: number, first: NotFinite | null): StepResult => ({
    ...{ isFinite: Number.isFinite(gradientNorm), gradientNorm, first },
    ...collecting.tally.read(collective),
  })
  const abandon = () => {
    collecting.dispose()
    disposeAll(pending)
  }
  return {
    abandon,
    add(make) {
      try {
        collecting.add(make)
      } catch (error) {
        abandon()
        throw error
      }
    },
    finish() {
      try {
        collecting.finish()
        if (collecting.isLost()) return result(Number.NaN, collecting.first())
        const { weights, stats, at } = collecting
        const { gradientNorm, first } = span('optimizer', () =>
          applyUpdate(trainee, { pending, weights: weights(), stats, at: at() }),
        )
        return result(gradientNorm, first)
      } finally {
        abandon()
      }
    },
  }
}
