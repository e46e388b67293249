// Recorded steps, with a recorder for the CPU: a replay runs the body on the tensors of the recording, as a CUDA graph does.
import { describe, expect, it } from 'vitest'
import type { At } from '../../src/objective/objective.ts'
import { makeOptimizer } from '../../src/optim/optimizer.ts'
import { call, callInPlace, hasOperator } from '../../src/tensor/call.ts'
import { noGrad } from '../../src/tensor/context.ts'
import type { Recorder } from '../../src/tensor/graph.ts'
import { div, mul, zerosLike } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import type { StepResult } from '../../src/train/step.ts'
import { openStepper, type Stepper } from '../../src/train/stepper.ts'
import type { Trainee } from '../../src/train/trainee.ts'
import { expectClose, numbers } from '../tolerance.ts'
import { ratesOf, type TinyTrainee, tinyLoader, tinyTrainee, toDeviceBatch } from './tiny-training.ts'

/** θ ← θ − rate · g, with numbers on the host or as tensors. */
const descent = makeOptimizer(
  [],
  ({ parameters, gradients, rate }) => {
    for (const [i, x] of parameters.entries()) callInPlace('sub_.Tensor', x, gradients[i]!, rate)
  },
  {
    numbersOf: ({ rate }) => [rate],
    step({ parameters, gradients }, [rate], { divisor, skip }) {
      for (const [i, x] of parameters.entries()) {
        const change = mul(divisor ? div(gradients[i]!, divisor) : gradients[i]!, rate!)
        callInPlace('sub_.Tensor', x, call('where.self', call('eq.Scalar', skip, 1), zerosLike(x), change))
      }
    },
  },
)

interface CpuRecorder extends Recorder {
  recorded: number
  replayed: number
}

/** Recording runs nothing on a GPU: here what it wrote to `written` is put back. */
function cpuRecorder(written: readonly Tensor[]): CpuRecorder {
  const made: CpuRecorder = {
    ...{ recorded: 0, replayed: 0 },
    record(body) {
      scope(() => {
        const copies = written.map((x) => call('clone', call('detach', x)))
        body()
        noGrad(() => {
          for (const [i, x] of written.entries()) callInPlace('copy_', x, copies[i]!)
        })
      })
      made.recorded++
      const replay = () => {
        made.replayed++
        body()
      }
      return { replay, dispose() {} }
    },
  }
  return made
}

const trainee = (more: Partial<Trainee> = {}): TinyTrainee => {
  const made = tinyTrainee()
  return {
    ...made,
    optimizer: descent,
    state: { steps: new Map([...made.parameters.keys()].map((k) => [k, 0])), slots: {} },
    ...more,
  } as TinyTrainee
}

async function takeSteps(
  stepper: Stepper<ReturnType<typeof toDeviceBatch>>,
  { steps = 7, isAhead = stepper.isAhead, rate = () => 0.05, size = () => 8 } = {} as {
    steps?: number
    isAhead?: boolean
    rate?: (step: number) => number
    size?: (step: number) => number
  },
): Promise<StepResult[]> {
  const loader = tinyLoader(8)
  const begin = async (step: number) => {
    const batch = await (size(step) === 8 ? loader : tinyLoader(size(step))).next()
    const open = stepper.begin({ step, epoch: step, value: ratesOf(rate(step), 0), parts: 1 })
    open.add(() => ({
      batch: toDeviceBatch(batch),
      samples: { epochs: batch.epochs, indices: batch.indices },
    }))
    return open
  }
  const results: StepResult[] = []
  let ahead = null as Awaited<ReturnType<typeof begin>> | null
  for (let step = 0; step < steps; step++) {
    const open = ahead ?? (await begin(step))
    const read = open.finish()
    ahead = isAhead && step + 1 < steps ? await begin(step + 1) : null
    results.push(read())
  }
  return results
}

const weightsOf = ({ parameters }: Trainee) => [...parameters.values()].map(numbers)
const lossesOf = (results: readonly StepResult[]) => results.map(({ loss }) => loss)

describe('recorded steps', () => {
  for (const clip of [null, { by: 'all', most: 0.3 }] as const)
    it(`are those that are taken operator by operator${clip ? ', clipped' : ''}`, async () => {
      const rate = (step: number) => 0.02 * (step + 1) // another number in each step
      const plain = trainee({ clip })
      const expected = await takeSteps(openStepper(plain), { rate })
      const of = trainee({ clip })
      const recorder = cpuRecorder([...of.parameters.values()])
      const stepper = openStepper(of, { recorder })
      const results = await takeSteps(stepper, { rate })
      expect([recorder.recorded, recorder.replayed]).toEqual([1, 5]) // after two that are watched
      expect(stepper.whyNotRecorded()).toBe(null)
      for (const [i, { loss, gradientNorm, parts }] of results.entries()) {
        expect(loss).toBeCloseTo(expected[i]!.loss, 6)
        expect(gradientNorm).toBeCloseTo(expected[i]!.gradientNorm, 6)
        expect(parts).toEqual({ pixels: loss })
      }
      const [own, other] = [weightsOf(of).flat(), weightsOf(plain).flat()]
      for (const [i, x] of own.entries()) expect(Math.abs(x - other[i]!)).toBeLessThan(2e-6)
      expect([...of.state.steps.values()].every((n) => n === 7)).toBe(true)
      stepper.dispose()
    })

  // On LibTorch 2.4 and later the fused kernel runs on a CPU, too.
  it.skipIf(!hasOperator('_fused_adamw_.tensor_lr'))('by AdamW are those of AdamW', async () => {
    const rate = (step: number) => 0.002 * (step + 1)
    const [plain, of] = [tinyTrainee(), tinyTrainee()]
    const clip = { by: 'all', most: 0.3 } as const
    const expected = await takeSteps(openStepper({ ...plain, clip }), { rate })
    const written = [
      ...of.parameters.values(),
      ...Object.values(of.state.slots).flatMap((each) => [...each.values()]),
    ]
    const recorder = cpuRecorder(written)
    const stepper = openStepper({ ...of, clip }, { recorder })
    const results = await takeSteps(stepper, { rate })
    expect([recorder.recorded, stepper.whyNotRecorded()]).toEqual([1, null])
    for (const [i, { loss }] of results.entries()) expect(loss).toBeCloseTo(expected[i]!.loss, 5)
    // The gradient of a key's bias is zero but for rounding, which Adam makes as large as any other.
    for (const [name, x] of of.parameters)
      expectClose(x, plain.parameters.get(name)!, name.endsWith('attn.qkv.bias') ? 2e-3 : 2e-4)
    stepper.dispose()
  })

  it('write nothing when they are not finite, name the tensor, and continue', async () => {
    const of = trainee()
    const stepper = openStepper(of, { recorder: cpuRecorder([...of.parameters.values()]) })
    const rate = (step: number) => (step === 4 ? Number.MAX_VALUE : 0.02)
    // A rate of infinity in float32 makes the weights of step 4 infinite, so the next loss is NaN and changes nothing more.
    const before = await takeSteps(stepper, { rate, steps: 5 })
    expect(lossesOf(before).every(Number.isFinite)).toBe(true)
    const kept = weightsOf(of)
    const [lost] = await takeSteps(stepper, { steps: 1 })
    expect(lost).toMatchObject({ isFinite: false, gradientNorm: Number.NaN })
    expect(lost!.first!.where).toBe(
      [...of.parameters.keys()].find((_, i) => !kept[i]!.every(Number.isFinite)),
    )
    expect(weightsOf(of)).toEqual(kept)
    expect(new Set(of.state.steps.values())).toEqual(new Set([5]))
    stepper.dispose()
  })

  it('of another shape are recorded, too', async () => {
    const of = trainee()
    const recorder = cpuRecorder([...of.parameters.values()])
    const stepper = openStepper(of, { recorder })
    const results = await takeSteps(stepper, { steps: 8, size: (step) => (step % 4 === 3 ? 4 : 8) })
    expect(results.every((each) => each.isFinite)).toBe(true)
    expect([recorder.recorded, recorder.replayed]).toEqual([2, 6])
    stepper.dispose()
  })

  it('are not those of a loss that reads what changes', async () => {
    const reads = (look: (at: At) => unknown) => {
      const of = trainee()
      const { objective } = of
      const loss: typeof objective.loss = (weights, batch, plan) => objective.loss(weights, batch, plan)
      const looking = (...args: [...Parameters<typeof loss>, At]) => {
        look(args[3])
        return loss(args[0], args[1], args[2])
      }
      return { ...of, objective: { ...objective, loss: looking as typeof loss } }
    }
    const why = async (of: Trainee) => {
      const recorder = cpuRecorder([...of.parameters.values()])
      const stepper = openStepper(of, { recorder })
      const results = await takeSteps(stepper, { steps: 4 })
      expect(results.every((each) => each.isFinite)).toBe(true)
      return [stepper.whyNotRecorded(), recorder.recorded]
    }
    expect(await why(reads(({ seed, rows, samples }) => [seed, rows, samples]))).toEqual([null, 1])
    expect(await why(reads(({ step }) => step))).toEqual(['the loss reads step', 0])
    expect(await why(reads(({ samples }) => samples.indices[0]))).toEqual([
      'the loss reads samples.indices',
      0,
    ])
    expect(await why(reads(({ value }) => value.learningRate))).toEqual(['the loss reads value', 0])
  })

  it('are not those of several micro-batches, of clipping by tensor, or of a device without graphs', () => {
    const of = trainee()
    expect(openStepper(of).whyNotRecorded()).toBe('this device has no graphs')
    const clipped = trainee({ clip: { by: 'tensor', most: 1 } })
    const recorder = cpuRecorder([])
    expect(openStepper(clipped, { recorder }).whyNotRecorded()).toBe('gradients are clipped by tensor')
    const stepper = openStepper(of, { recorder })
    stepper.begin({ step: 0, epoch: 0, value: ratesOf(0.1, 0), parts: 2 }).abandon()
    expect(stepper.whyNotRecorded()).toBe('a step has several micro-batches')
    expect(stepper.isAhead).toBe(false)
  })

  it('free what they hold', async () => {
    const of = trainee()
    const before = liveTensors()
    const stepper = openStepper(of, { recorder: cpuRecorder([...of.parameters.values()]) })
    await takeSteps(stepper, { steps: 4 })
    const after = liveTensors()
    await takeSteps(stepper, { steps: 4 })
    expect(liveTensors()).toBe(after)
    stepper.dispose()
    expect(liveTensors()).toBe(before)
  })
})
