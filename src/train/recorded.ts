/**
 * A step whose work is the same every time, recorded once as a CUDA graph: loss, gradients, clipping, optimizer and averages. What differs
 * from step to step is copied into tensors that the graph reads: samples, plan, and the optimizer's numbers. A step that is not finite writes
 * nothing, as decided on the device.
 */
import { learnedIn, weightsOf } from '../model/parameters.ts'
import { totalOf } from '../objective/losses.ts'
import type { At, Losses, Planned } from '../objective/objective.ts'
import { composedNorm, expectReached, type Gradients, gradientsOf } from '../optim/gradients.ts'
import { type Groups, groupsAt } from '../optim/groups.ts'
import { type Group, groupsOf, type OptimizerState } from '../optim/optimizer.ts'
import { call, callInPlace } from '../tensor/call.ts'
import { autocast, clearGradients, noGrad } from '../tensor/context.ts'
import { withKernels } from '../tensor/fused.ts'
import type { Graph, Recorder } from '../tensor/graph.ts'
import { add, cat, clone, mul, reshape, sub, toDtype, unbind } from '../tensor/ops.ts'
import { backwardRecomputing, withRecompute } from '../tensor/recompute.ts'
import { disposeAll, scope, unscoped } from '../tensor/scope.ts'
import { fromArray, Tensor, toFloats } from '../tensor/tensor.ts'
import { type Uploading, withUploads } from '../tensor/uploads.ts'
import { averagesAfterStep } from './averages.ts'
import type { StepResult } from './step.ts'
import type { Prepared, StepRequest, Trainee } from './trainee.ts'
import { traceGradients, traceLoss } from './trouble.ts'

/** Why the steps of a trainee cannot be recorded whatever they do; null if they can. */
export function whyNotRecorded<Batch, Plan>({
  objective,
  optimizer,
  clip,
  collective,
}: Trainee<Batch, Plan>): string | null {
  if ((collective?.world ?? 1) > 1) return 'several processes share a step'
  if (!optimizer.onDevice) return 'the optimizer reads its numbers on the host'
  if ('features' in objective || objective.first || objective.update || objective.stats)
    return 'the loss is one of all rows, or of state that each step renews'
  if (objective.isPlanOfWeights) return 'masks are chosen by the weights that the step before has moved'
  if (objective.averages?.some(({ when }) => when === 'before-loss')) return 'averages move before the loss'
  if (clip && clip.by !== 'all') return `gradients are clipped by ${clip.by}`
  return null
}

/** The same value with other tensors. */
function withTensors<T>(value: T, other: (x: Tensor) => Tensor): T {
  if (value instanceof Tensor) return other(value) as T
  if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value)) return value
  if (Array.isArray(value)) return value.map((each) => withTensors(each, other)) as T
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withTensors(each, other)])) as T
}

function tensorsOf(value: unknown): Tensor[] {
  const found: Tensor[] = []
  withTensors(value, (x) => {
    found.push(x)
    return x
  })
  return found
}

/** What must be equal for one recording to serve: shapes of tensors, and every other value. */
const shapeOf = (value: unknown): string =>
  JSON.stringify(value, (_, each) =>
    each instanceof Tensor
      ? String(each)
      : ArrayBuffer.isView(each)
        ? [...(each as Uint8Array)].join()
        : each,
  )

const bytesOf = (view: ArrayBufferView) => Buffer.from(view.buffer, view.byteOffset, view.byteLength)

/** Fields of `at` that are the same in every step may be read; reading another is noted. */
function watched(at: At, note: (field: string) => void): At {
  const noting = <T extends object>(object: T, keys: readonly (keyof T & string)[], path = ''): T =>
    Object.defineProperties(
      { ...object },
      Object.fromEntries(
        keys.map((key) => [
          key,
          {
            enumerable: true,
            get: () => {
              note(`${path}${key}`)
              return object[key]
            },
          },
        ]),
      ),
    )
  const samples = noting(at.samples, ['epochs', 'indices'], 'samples.')
  return noting({ ...at, samples }, ['step', 'epoch', 'value'])
}

/** What the loss does beside its tensors: the bytes that it sends to the device, and what it reads of the position in the run. */
export interface Habits {
  readonly sent: readonly Buffer[]
  readonly read: ReadonlySet<string>
}

/** The loss in the open scope, and what it does. */
function watchedLoss<Batch, Plan>(
  { objective, device, precision, kernels = 'fused' }: Trainee<Batch, Plan>,
  weights: ReturnType<typeof weightsOf>,
  { batch, plan, at }: Prepared<Batch, Plan>,
  uploading: Uploading,
): { readonly losses: Losses; readonly habits: Habits } {
  if ('features' in objective) throw new TypeError('whyNotRecorded is asked first')
  const sent: Buffer[] = []
  const read = new Set<string>()
  const losses = withUploads(
    (send, bytes) => {
      sent.push(Buffer.from(bytesOf(bytes())))
      return uploading(send, bytes)
    },
    () =>
      withKernels(kernels, () =>
        autocast({ device, dtype: precision }, () =>
          objective.loss(
            weights,
            batch,
            plan,
            watched(at, (field) => read.add(field)),
          ),
        ),
      ),
  )
  return { losses, habits: { sent, read } }
}

/** The trainee, whose loss tells its habits in every step. */
export function watching<Batch, Plan>(
  trainee: Trainee<Batch, Plan>,
  see: (habits: Habits) => void,
): Trainee<Batch, Plan> {
  const { objective } = trainee
  if ('features' in objective) return trainee
  const loss: typeof objective.loss = (weights, batch, plan, at) => {
    const { losses, habits } = watchedLoss(trainee, weights, { batch, plan, at }, (send) => send())
    see(habits)
    return losses
  }
  return { ...trainee, objective: { ...objective, loss } }
}

/** Why a loss with these habits in two steps of different samples cannot be recorded; null if it can. */
export function whyNotRepeatable([a, b]: readonly [Habits, Habits]): string | null {
  const read = [...new Set([...a.read, ...b.read])]
  if (read.length > 0) return `the loss reads ${read.join(' and ')}`
  if (a.sent.length !== b.sent.length || a.sent.some((bytes, i) => !bytes.equals(b.sent[i]!)))
    return 'the loss sends values to the device that change from step to step'
  return null
}

/** A micro-batch with the update that follows it. */
export interface Request<Batch, Plan> extends StepRequest {
  readonly prepared: Prepared<Batch, Plan>
  readonly groups: Groups
}

export const groupsOfStep = <Batch, Plan>(
  { objective, groups, parameters, clip }: Trainee<Batch, Plan>,
  { step, epoch, value }: StepRequest,
): Groups =>
  groupsAt(
    learnedIn(objective.rows, parameters),
    [...(objective.groups ?? []), ...groups, ...(clip ? [{ match: () => true, clip }] : [])],
    { step, epoch, learningRate: value.learningRate!, weightDecay: value.weightDecay! },
  )

/** The state after a finite step of these gradients. */
const counted = (state: OptimizerState, gradients: Gradients): OptimizerState => ({
  ...state,
  steps: new Map([...state.steps].map(([name, n]) => [name, n + Number(gradients.has(name))])),
})

export interface Recording<Batch, Plan> {
  /**
   * Queues the step; gives how to wait for its result, which must be called before the next step is queued. Null if the step is of another
   * shape than the recorded one.
   */
  run(request: Request<Batch, Plan>): (() => StepResult) | null
  dispose(): void
}

/** Throws `TENSOR` if the step cannot be recorded. Runs nothing of it. */
export function recordStep<Batch, Plan>(
  trainee: Trainee<Batch, Plan>,
  recorder: Recorder,
  first: Request<Batch, Plan>,
): Recording<Batch, Plan> {
  const { objective, parameters, optimizer, state, clip, device } = trainee
  const onDevice = optimizer.onDevice!
  const learned = learnedIn(objective.rows, parameters)
  const weights = weightsOf(parameters)
  const { batch, plan } = first.prepared
  const constants: Tensor[] = []
  const inputs: Planned<Batch, Plan> = unscoped(() => withTensors({ batch, plan }, clone))
  const slots = tensorsOf(inputs)
  const averages = averagesAfterStep(trainee)

  const slicesOf = (gradients: Gradients, { ratesOf }: Groups, now: OptimizerState): Group[] =>
    groupsOf(optimizer.slots, learned, gradients, now, ratesOf)
  const updated = (all: Gradients, { frozen }: Groups): Gradients =>
    new Map([...all].filter(([name]) => !frozen.has(name)))
  const shapeOfUpdate = (slices: readonly Group[], { frozen }: Groups) =>
    shapeOf([
      slices.map(({ decay, parameters }) => [decay, parameters.map(({ handle }) => handle)]),
      [...frozen],
    ])

  let numbers: Tensor | undefined
  let results: Tensor | undefined
  let partWeights: readonly (readonly [name: string, weight: number])[] = []
  let metricNames: readonly string[] = []
  let gradients: Gradients = new Map()
  let counting: Gradients = new Map()
  let update = ''

  const whole = (losses: Losses) => {
    const { parts, metrics = {} } = losses
    partWeights = Object.entries(parts).map(([name, { weight }]) => [name, weight])
    metricNames = Object.keys(metrics)
    const total = totalOf(losses)
    backwardRecomputing([total])
    noGrad(() => {
      disposeAll([...gradients.values()])
      gradients = unscoped(() => expectReached(learned, gradientsOf(learned), objective.unreached))
      counting = updated(gradients, first.groups)
      const slices = slicesOf(counting, first.groups, counted(state, counting))
      update = shapeOfUpdate(slices, first.groups)
      const perSlice = onDevice.numbersOf(slices[0] ?? { rate: 0, count: 1 }).length
      numbers ??= noNumbers(slices.length * perSlice + averages.length)
      const scalars = unbind(numbers, 0)
      const norm = composedNorm([...counting.values()])
      const finite = toDtype(call('isfinite', add(norm, mul(toDtype(total, 'float32'), 0))), 'float32')
      const skip = sub(mul(finite, -1), -1)
      const divisor = clip && call('clamp_min', mul(add(norm, 1e-6), 1 / clip.most), 1)
      for (const [i, slice] of slices.entries())
        onDevice.step(slice, scalars.slice(i * perSlice, (i + 1) * perSlice), { divisor, skip })
      for (const [i, pairs] of averages.entries()) {
        const share = mul(scalars[slices.length * perSlice + i]!, finite)
        for (const { average, learned: source } of pairs.followed)
          callInPlace('lerp_.Tensor', parameters.get(average)!, parameters.get(source)!, share)
      }
      const scalarsOut = [...Object.values(parts).map(({ mean }) => mean), ...Object.values(metrics), norm]
      results ??= noNumbers(scalarsOut.length)
      callInPlace(
        'copy_',
        results,
        cat(
          scalarsOut.map((x) => reshape(toDtype(x, 'float32'), [1])),
          0,
        ),
      )
    })
  }
  /** Sent beside the recording: its memory is not the graph's. */
  const noNumbers = (n: number): Tensor =>
    unscoped(() => fromArray(new Float32Array(n), [n], 'float32', device))
  const body = () =>
    scope(() => {
      const run = () => {
        clearGradients(parameters.values())
        const prepared = { ...inputs, at: first.prepared.at }
        const { losses } = watchedLoss(trainee, weights, prepared, (send) => send())
        whole(losses)
      }
      if (trainee.recompute) withRecompute(run)
      else run()
    })

  const keeping: Uploading = (send) => {
    const made = unscoped(send) as Tensor
    constants.push(made)
    return call('alias', made)
  }
  let graph: Graph | undefined
  const free = () => {
    graph?.dispose()
    clearGradients(parameters.values())
    disposeAll([inputs, constants, numbers, results, [...gradients.values()]])
  }
  try {
    graph = recorder.record(body, keeping)
  } catch (error) {
    free()
    throw error
  }
  const recorded = graph
  const inputShape = shapeOf(inputs)

  /** After a step that was not finite: the weights are as they were, and so are inputs and gradients. */
  const trace = (loss: number, at: At) =>
    Number.isFinite(loss)
      ? traceGradients(learned, gradients)
      : traceLoss(parameters, () => ({
          batches: [inputs.batch],
          forward: () => watchedLoss(trainee, weights, { ...inputs, at }, (send) => send()).losses,
        }))

  return {
    run({ prepared, groups, value }) {
      const given: Planned<Batch, Plan> = { batch: prepared.batch, plan: prepared.plan }
      const next = counted(state, counting)
      const slices = slicesOf(counting, groups, next)
      if (shapeOf(given) !== inputShape || shapeOfUpdate(slices, groups) !== update) return null
      const own = [
        ...slices.flatMap((slice) => onDevice.numbersOf(slice)),
        ...averages.map(({ shareAt }) => shareAt(value)),
      ]
      noGrad(() =>
        scope(() => {
          if (own.length > 0)
            callInPlace('copy_', numbers!, fromArray(Float32Array.from(own), [own.length], 'float32', device))
          for (const [i, x] of tensorsOf(given).entries()) callInPlace('copy_', slots[i]!, x)
        }),
      )
      recorded.replay()
      return () => {
        const read = toFloats(results!)
        const gradientNorm = read.at(-1)!
        const parts = Object.fromEntries(partWeights.map(([name], i) => [name, read[i]!]))
        const metrics = Object.fromEntries(
          metricNames.map((name, i) => [name, read[partWeights.length + i]!]),
        )
        const loss = partWeights.reduce((sum, [, weight], i) => sum + weight * read[i]!, 0)
        const isWhole = Number.isFinite(gradientNorm) && Number.isFinite(loss)
        if (isWhole) for (const [name, n] of next.steps) state.steps.set(name, n)
        return {
          ...{
            isFinite: isWhole,
            loss,
            parts,
            metrics,
            gradientNorm: Number.isFinite(loss) ? gradientNorm : Number.NaN,
          },
          first: isWhole ? null : trace(loss, prepared.at),
        }
      }
    },
    dispose: free,
  }
}
