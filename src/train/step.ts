/**
 * One step of training, whole: averages that are due before the loss, the loss and the gradient of each micro-batch, then clipping, the
 * optimizer, new state and averages, of which nothing is written unless every number is finite. Pretraining, fine-tuning, heads on frozen
 * features and the benchmark take this step; it knows none of the objectives.
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
  /** Whether loss, gradients and new state were finite. When not, nothing was written. */
  readonly isFinite: boolean
  /** The mean over the step's samples, before the update. */
  readonly loss: number
  /** The parts of the loss, without their weights. */
  readonly parts: Readonly<Record<string, number>>
  readonly metrics: Readonly<Record<string, number>>
  /** Over all gradients, before clipping; NaN when the loss was not finite. */
  readonly gradientNorm: number
  /** The first tensor that was not finite; null where a second look found none. */
  readonly first: NotFinite | null
}

export interface OpenStep<Batch> {
  /** Adds one of the micro-batches. What `make` makes is freed by the step. */
  add(make: () => Sampled<Batch>): void
  /** Takes the step. */
  finish(): StepResult
  /** Gives it up. Nothing was written. */
  abandon(): void
}

/** Throws `BUG` where a schedule has no value in this step: what is computed with it would be lost. */
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
