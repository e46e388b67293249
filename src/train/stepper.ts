/**
 * Takes the steps of one trainee: operator by operator, or, on a GPU, from a recording of the third one (`recorded.ts`). Two steps are taken
 * first to see whether the loss does the same every time, and to let the libraries choose their kernels.
 */
import { alone } from '../collective/collective.ts'
import { messageOf } from '../errors.ts'
import { weightsOf } from '../model/parameters.ts'
import type { At } from '../objective/objective.ts'
import { autocast, noGrad } from '../tensor/context.ts'
import { withKernels } from '../tensor/fused.ts'
import { graphsOf, type Recorder } from '../tensor/graph.ts'
import { type Owned, withOwner } from '../tensor/ownership.ts'
import { scope } from '../tensor/scope.ts'
import {
  groupsOfStep,
  type Habits,
  type Recording,
  type Request,
  recordStep,
  watching,
  whyNotRecorded,
  whyNotRepeatable,
} from './recorded.ts'
import { beginStep, type OpenStep, type StepResult } from './step.ts'
import type { Prepared, Sampled, StepRequest, Trainee } from './trainee.ts'

/** Waits for the device. */
type Read = () => StepResult

export interface BegunStep<Batch> extends Pick<OpenStep<Batch>, 'add' | 'abandon'> {
  /** Queues what is left of the step. */
  finish(): Read
}

export interface Stepper<Batch> {
  /**
   * Whether the next step may be begun, and get its samples, while the one before is queued and has not been read. Its samples are then sent
   * to the device beside the work there.
   */
  readonly isAhead: boolean
  begin(request: StepRequest): BegunStep<Batch>
  /** Why steps are taken operator by operator; null while they are recorded, or may still be. */
  whyNotRecorded(): string | null
  dispose(): void
}

const WATCHED = 2 // steps before one is recorded
const MOST_RECORDINGS = 4 // of steps of other shapes; a trainee that needs more changes in every step

interface StepperOptions {
  /** Default: the device's, where there is one. Null: none. */
  readonly recorder?: Recorder | null
}

export function openStepper<Batch, Plan>(
  trainee: Trainee<Batch, Plan>,
  { recorder = trainee.record === false ? null : graphsOf(trainee.device) }: StepperOptions = {},
): Stepper<Batch> {
  const why = recorder === null ? 'this device has no graphs' : whyNotRecorded(trainee)
  return why === null ? recordingStepper(trainee, recorder!) : plainStepper(trainee, why)
}

function plainStepper<Batch, Plan>(trainee: Trainee<Batch, Plan>, why: string): Stepper<Batch> {
  return {
    isAhead: false,
    begin(request) {
      const open = beginStep(trainee, request)
      return {
        ...open,
        finish() {
          const result = open.finish()
          return () => result
        },
      }
    },
    whyNotRecorded: () => why,
    dispose() {},
  }
}

function recordingStepper<Batch, Plan>(trainee: Trainee<Batch, Plan>, recorder: Recorder): Stepper<Batch> {
  const { objective, parameters, device, precision, kernels = 'fused', seed, collective = alone } = trainee
  const weights = weightsOf(parameters)
  const recordings: Recording<Batch, Plan>[] = []
  let habits: readonly Habits[] = []
  let refused: string | null = null

  const prepare = (make: () => Sampled<Batch>, request: StepRequest): Prepared<Batch, Plan> => {
    const { batch, samples } = make()
    const { parts, ...when } = request
    const rows = samples.indices.length
    const at: At = { ...when, seed, samples, firstRow: 0, rows: rows * parts, collective }
    const planned = () => objective.plan(at, batch, weights)
    const computing = () => withKernels(kernels, () => autocast({ device, dtype: precision }, planned))
    return { batch, at, plan: noGrad(computing) }
  }
  /** Operator by operator, of samples that are on the device. */
  const plainly = (request: StepRequest, made: readonly Sampled<Batch>[]): StepResult => {
    const isWatched = refused === null && habits.length < WATCHED
    const see = (seen: Habits) => {
      habits = [...habits, seen].slice(0, WATCHED)
    }
    const open = beginStep(isWatched ? watching(trainee, see) : trainee, request)
    for (const each of made) open.add(() => each)
    return open.finish()
  }
  const queue = (asked: Request<Batch, Plan>): Read | null => {
    for (const each of recordings) {
      const read = each.run(asked)
      if (read) return read
    }
    if (refused !== null || habits.length < WATCHED) return null
    refused ??= whyNotRepeatable(habits as [Habits, Habits])
    if (recordings.length === MOST_RECORDINGS) refused ??= 'the steps have too many shapes'
    if (refused !== null) return null
    try {
      recordings.push(recordStep(trainee, recorder, asked))
    } catch (error) {
      refused = messageOf(error)
      return null
    }
    return recordings.at(-1)!.run(asked)
  }

  const plain = plainStepper(trainee, '')
  return {
    get isAhead() {
      return refused === null
    },
    begin(request) {
      if (request.parts > 1) refused ??= 'a step has several micro-batches'
      if (refused !== null) return plain.begin(request)
      const kept: Owned[] = []
      const made: Prepared<Batch, Plan>[] = []
      const groups = groupsOfStep(trainee, request) // while the step before still runs
      const abandon = () => {
        for (const each of kept.splice(0)) each.dispose()
      }
      return {
        abandon,
        add(make) {
          try {
            made.push(withOwner(kept, () => scope(() => prepare(make, request))))
          } catch (error) {
            abandon()
            throw error
          }
        },
        finish() {
          try {
            const read = made[0] ? queue({ ...request, prepared: made[0], groups }) : null
            if (read) return read
            const sampled = made.map(({ batch, at: { samples } }) => ({ batch, samples }))
            const result = plainly(request, sampled)
            return () => result
          } finally {
            abandon()
          }
        },
      }
    },
    whyNotRecorded: () => refused,
    dispose() {
      for (const each of recordings.splice(0)) each.dispose()
    },
  }
}
