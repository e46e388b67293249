// The kernels of a GPU against what LibTorch's operators compute of the same numbers on the CPU. Needs a GPU and a LibTorch with CUDA;
// skipped elsewhere. scripts/gpu.mjs runs it where there is one.
import { describe, expect, it } from 'vitest'
import { initialState, type StepKernel } from '../../src/optim/optimizer.ts'
import { optimizerOf } from '../../src/optim/optimizers.ts'
import { autocast, engineBuild } from '../../src/tensor/context.ts'
import { selfAttention, withKernels } from '../../src/tensor/fused.ts'
import { toDtype } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { type Device, fromArray } from '../../src/tensor/tensor.ts'
import { take } from '../optim/stepping.ts'
import { expectClose, numbers, product, wave } from '../tolerance.ts'
import { cases, distance, largest, measured } from './fused-cases.ts'

const gpu: Device = 'cuda'
const names = Object.keys(cases)

describe.skipIf(engineBuild().cudaDevices === 0)('kernels of a GPU', () => {
  it('were compiled, where the CUDA toolkit is', () => expect(engineBuild().cudaKernels).toBe(true))

  it.each(names)('float32: %s', (name) => {
    const expected = measured(name, 'composed', 'float32')
    for (const [i, values] of measured(name, 'fused', 'float32', gpu).entries())
      expectClose(values, expected[i]!, 2e-6 * Math.max(1, largest(expected[i]!)))
  })

  it.each(names)('bfloat16: %s', (name) => {
    const exact = measured(name, 'composed', 'float32')
    const composed = measured(name, 'composed', 'bfloat16', gpu)
    for (const [i, values] of measured(name, 'fused', 'bfloat16', gpu).entries()) {
      const allowed = 1.5 * distance(composed[i]!, exact[i]!) + largest(exact[i]!) / 256
      expect(distance(values, exact[i]!)).toBeLessThanOrEqual(allowed)
    }
  })

  it('attention finds one key whose score is far above those before it', () =>
    scope(() => {
      const [tokens, width, found] = [100, 16, 70]
      const qkv = Float32Array.from({ length: tokens * 3 * width }, (_, i) => {
        const token = Math.floor(i / (3 * width))
        const part = Math.floor(i / width) % 3
        if (part === 2) return token
        return part === 0 || token === found ? 8 : 0
      })
      const input = fromArray(qkv, [1, tokens, 3 * width], 'float32', gpu)
      const out = withKernels('fused', () =>
        autocast({ device: gpu, dtype: 'bfloat16' }, () => selfAttention([input], 1)),
      )
      expect(numbers(toDtype(out, 'float32'))).toEqual(Array(tokens * width).fill(found))
    }))

  it.each(['adamw', 'adam'] as const)(
    'steps of %s by the library are those of the operators, with decay and rates by layer',
    (optimizer) => {
      const rule = optimizerOf({ optimizer, beta1: 0.9, beta2: 0.95, epsilon: 1e-8 })
      const after = (kernel: StepKernel) =>
        scope(() => {
          const shapes = [[5, 7], [7], [3, 2, 2]]
          const on = (shape: number[], seed: number) =>
            fromArray(Float32Array.from(wave(product(shape), seed)), shape, 'float32', gpu)
          const parameters = new Map(shapes.map((shape, i) => [`p${i}`, on(shape, i)]))
          const state = initialState(rule, parameters)
          for (let step = 0; step < 3; step++)
            take(
              rule,
              parameters,
              shapes.map((shape, i) => on(shape, 10 * step + i + 20)),
              state,
              {
                ...{ learningRate: 0.01, weightDecay: 0.05 },
                groups: [{ match: /^p2$/, rate: 0.25 }],
              },
              kernel,
            )
          return [parameters, ...Object.values(state.slots)]
            .flatMap((each) => [...each.values()])
            .map((x) => numbers(x))
        })
      const expected = after('composed')
      for (const [i, values] of after('library').entries()) expectClose(values, expected[i]!, 1e-6)
    },
  )
})
