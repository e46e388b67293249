// Training steps on a GPU against the CPU's numbers, with the bounds of docs/verify.md. Needs a GPU and a LibTorch with
// CUDA; skipped elsewhere. scripts/gpu.mjs runs it where there is one.
import { describe, expect, it } from 'vitest'
import { gradientsOf } from '../../src/optim/gradients.ts'
import { normalizePixels } from '../../src/prepare/normalize.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { engineBuild } from '../../src/tensor/context.ts'
import { toDevice } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { type Device, type Tensor, toFloats } from '../../src/tensor/tensor.ts'
import { beginStep } from '../../src/train/step.ts'
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
}

/** Eight images of noise, always the same, under masks that change from step to step. */
function takeSteps(device: Device, precision: Precision, steps = 10): Trajectory {
  const trainee = tinyTrainee(3, precision, device)
  const { parameters } = trainee
  const pixels = Uint8Array.from(wave(8 * 180), (x) => 128 + 100 * x)
  const indices = Int32Array.from({ length: 8 }, (_, i) => i)
  const [losses, norms, live]: [number[], number[], number[]] = [[], [], []]
  let gradients: number[][] = []
  for (let step = 0; step < steps; step++) {
    const open = beginStep(trainee, { step, epoch: step, value: ratesOf(1e-3), parts: 1 })
    open.add(() => ({
      batch: { image: viewOf(normalizePixels({ pixels, shape }, statistics, device)) },
      samples: { epochs: new Int32Array(8).fill(step), indices },
    }))
    const { loss, gradientNorm } = open.finish()
    losses.push(loss)
    norms.push(gradientNorm)
    if (step === 0) gradients = scope(() => [...gradientsOf(parameters).values()].map(onCpu))
    live.push(liveTensors())
  }
  const weights = new Map([...parameters].map(([name, x]) => [name, onCpu(x)]))
  return { losses, norms, gradients, weights, live }
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

  it('hold no more tensors at the last step than at the second', () => {
    const { live } = takeSteps(gpu, 'bfloat16')
    expect(live.at(-1)).toBe(live[1])
  })
})
