// Training steps on a GPU against the CPU's numbers, with the bounds of docs/verify.md. Needs a GPU and a LibTorch with
// CUDA; skipped elsewhere. scripts/gpu.mjs runs it where there is one.
import { describe, expect, it } from 'vitest'
import { gradientsOf } from '../../src/optim/gradients.ts'
import { normalizePixels } from '../../src/prepare/normalize.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { engineBuild } from '../../src/tensor/context.ts'
import { mul, toDevice } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { type Device, type Tensor, toFloats } from '../../src/tensor/tensor.ts'
import { openStepper } from '../../src/train/stepper.ts'
import type { Precision } from '../../src/train/trainee.ts'
import { expectClose, wave } from '../tolerance.ts'
import { ratesOf, tinyTrainee } from './tiny-training.ts'

const gpu: Device = 'cuda'
const shape = [8, 6, 10, 3] as const
const statistics = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] }
const onCpu = (x: Tensor) => scope(() => Array.from(toFloats(toDevice(x, 'cpu'))))

interface Trajectory {
  readonly losses: readonly number[]
  readonly norms: readonly number[]
  /** Of the first step. */
  readonly gradients: readonly (readonly number[])[]
  readonly weights: ReadonlyMap<string, readonly number[]>
  readonly live: readonly number[]
  readonly why: string | null
  /** The first tensor of steps that were not finite. */
  readonly found: readonly string[]
}

interface Taken {
  readonly steps?: number
  /** Whether a GPU may record them. */
  readonly record?: boolean
  /** The step whose pixels are not finite. */
  readonly brokenAt?: number
  readonly rate?: (step: number) => number
}

/** Eight images of noise, always the same, under masks that change from step to step. */
function takeSteps(
  device: Device,
  precision: Precision,
  { steps = 10, record = false, brokenAt = -1, rate = () => 1e-3 }: Taken = {},
): Trajectory {
  const trainee = { ...tinyTrainee(3, precision, device), record }
  const stepper = openStepper(trainee)
  const { parameters } = trainee
  const pixels = Uint8Array.from(wave(8 * 180), (x) => 128 + 100 * x)
  const indices = Int32Array.from({ length: 8 }, (_, i) => i)
  const [losses, norms, live]: [number[], number[], number[]] = [[], [], []]
  let gradients: number[][] = []
  const found: string[] = []
  for (let step = 0; step < steps; step++) {
    const open = stepper.begin({ step, epoch: step, value: ratesOf(rate(step)), parts: 1 })
    open.add(() => {
      const image = viewOf(normalizePixels({ pixels, shape }, statistics, device))
      const whole = step === brokenAt ? { ...image, pixels: mul(image.pixels, Number.NaN) } : image
      return { batch: { image: whole }, samples: { epochs: new Int32Array(8).fill(step), indices } }
    })
    const { loss, gradientNorm, first } = open.finish()()
    if (first) found.push(first.where)
    losses.push(loss)
    norms.push(gradientNorm)
    if (step === 0) gradients = scope(() => [...gradientsOf(parameters).values()].map(onCpu))
    live.push(liveTensors())
  }
  const why = stepper.whyNotRecorded()
  stepper.dispose()
  const weights = new Map([...parameters].map(([name, x]) => [name, onCpu(x)]))
  return { losses, norms, gradients, weights, live, why, found }
}

describe.skipIf(engineBuild().cudaDevices === 0)('ten training steps on a GPU', () => {
  it('in float32 give the losses, gradients and weights of the CPU', () => {
    const [here, there] = [takeSteps('cpu', 'float32'), takeSteps(gpu, 'float32')]
    expectClose(there.losses, here.losses, 1e-5)
    expectClose(there.norms, here.norms, 1e-4)
    for (const [i, expected] of here.gradients.entries()) expectClose(there.gradients[i]!, expected, 1e-6)
    for (const [name, expected] of here.weights)
      expectClose(there.weights.get(name)!, expected, name.endsWith('attn.qkv.bias') ? 2e-3 : 2e-4)
  })

  it('in bfloat16 stay near float32', () => {
    const [here, there] = [takeSteps('cpu', 'float32'), takeSteps(gpu, 'bfloat16')]
    expect(there.losses).not.toEqual(here.losses)
    for (const [i, loss] of here.losses.entries())
      expect(Math.abs(there.losses[i]! / loss - 1)).toBeLessThan(0.03)
  })

  it('recorded as a graph give the losses, norms and weights of steps that are not', () => {
    const rate = (step: number) => 1e-3 * (0.5 + 0.1 * step) // another number in each step, the sum as above
    const of = (record: boolean) => takeSteps(gpu, 'float32', { record, rate })
    const [plain, recorded] = [of(false), of(true)]
    expect(recorded.why).toBe(null)
    expectClose(recorded.losses, plain.losses, 1e-5)
    expectClose(recorded.norms, plain.norms, 1e-4)
    for (const [name, expected] of plain.weights)
      expectClose(recorded.weights.get(name)!, expected, name.endsWith('attn.qkv.bias') ? 2e-3 : 2e-4)
    const { live } = recorded
    expect(live.at(-1)).toBe(live[4])
  })

  it('recorded, of which one is not finite, write nothing in it and continue', () => {
    const broken = { record: true, brokenAt: 6 }
    const [plain, recorded] = [takeSteps(gpu, 'float32', { brokenAt: 6 }), takeSteps(gpu, 'float32', broken)]
    expect(recorded.why).toBe(null)
    expect(recorded.found).toEqual(plain.found)
    expect(recorded.found).toEqual(['the image'])
    expect(recorded.losses.map(Number.isFinite)).toEqual(plain.losses.map((_, step) => step !== 6))
    expectClose(recorded.losses.slice(7), plain.losses.slice(7), 1e-5)
  })

  it('hold no more tensors at the last step than at the second', () => {
    const { live } = takeSteps(gpu, 'bfloat16')
    expect(live.at(-1)).toBe(live[1])
  })
})
