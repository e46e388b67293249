// The kernels of a GPU against what LibTorch's operators compute of the same numbers on the CPU. Needs a GPU and a LibTorch with CUDA;
// skipped elsewhere. scripts/gpu.mjs runs it where there is one.
import { describe, expect, it } from 'vitest'
import { adamWStep, initialAdamW, type StepKernel } from '../../src/optim/adamw.ts'
import { engineBuild } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { type Device, fromArray } from '../../src/tensor/tensor.ts'
import { expectClose, numbers, product, wave } from '../tolerance.ts'
import { cases, distance, largest, measured } from './fused-cases.ts'

const gpu: Device = 'cuda'
// The other cases give patch numbers on the CPU, and have no kernel on a GPU.
const ofBlocks = Object.keys(cases).filter((name) => /^(linear|mlp|add and norm|norm|attention)/.test(name))

describe.skipIf(engineBuild().cudaDevices === 0)('kernels of a GPU', () => {
  it('were compiled, where the CUDA toolkit is', () => expect(engineBuild().cudaKernels).toBe(true))

  it.each(ofBlocks)('float32: %s', (name) => {
    const expected = measured(name, 'composed', 'float32')
    for (const [i, values] of measured(name, 'fused', 'float32', gpu).entries())
      expectClose(values, expected[i]!, 2e-6 * Math.max(1, largest(expected[i]!)))
  })

  it.each(ofBlocks)('bfloat16: %s', (name) => {
    const exact = measured(name, 'composed', 'float32')
    const composed = measured(name, 'composed', 'bfloat16', gpu)
    for (const [i, values] of measured(name, 'fused', 'bfloat16', gpu).entries()) {
      const allowed = 1.5 * distance(composed[i]!, exact[i]!) + largest(exact[i]!) / 256
      expect(distance(values, exact[i]!)).toBeLessThanOrEqual(allowed)
    }
  })

  it('an AdamW step of the library is that of the operators, with decay and rates by layer', () => {
    const after = (kernel: StepKernel) =>
      scope(() => {
        const shapes = [[5, 7], [7], [3, 2, 2]]
        const on = (shape: number[], seed: number) =>
          fromArray(Float32Array.from(wave(product(shape), seed)), shape, 'float32', gpu)
        const parameters = new Map(shapes.map((shape, i) => [`p${i}`, on(shape, i)]))
        const state = initialAdamW(parameters)
        for (let step = 0; step < 3; step++)
          adamWStep(
            parameters,
            shapes.map((shape, i) => on(shape, 10 * step + i + 20)),
            state,
            {
              ...{ learningRate: 0.01, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.05 },
              scaleOf: (name) => (name === 'p2' ? 0.25 : 1),
            },
            kernel,
          )
        return [...parameters.values(), ...state.first.values(), ...state.second.values()].map((x) =>
          numbers(x),
        )
      })
    const expected = after('composed')
    for (const [i, values] of after('library').entries()) expectClose(values, expected[i]!, 1e-6)
  })
})
