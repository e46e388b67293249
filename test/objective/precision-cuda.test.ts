// Every objective and option on a GPU, in both precisions, against the CPU's float32. Needs a GPU and a LibTorch with CUDA; skipped
// elsewhere. scripts/gpu.mjs runs it where there is one.
import { describe, expect, it } from 'vitest'
import { engineBuild } from '../../src/tensor/context.ts'
import { expectClose } from '../tolerance.ts'
import { apart, measure, rows } from './precision-rows.ts'

describe.skipIf(engineBuild().cudaDevices === 0).each(Object.keys(rows))('%s, on a GPU', (name) => {
  it('in float32 gives the numbers of the CPU, in bfloat16 stays near them', () => {
    const row = rows[name]!()
    const [exact, same, half] = [
      measure(row, { kernels: 'composed', precision: 'float32' }),
      measure(row, { kernels: 'fused', precision: 'float32', device: 'cuda' }),
      measure(row, { kernels: 'fused', precision: 'bfloat16', device: 'cuda' }),
    ]
    // Larger pictures are made by convolutions, for which cuDNN takes TensorFloat-32, with ten bits of a number.
    expectClose([same.loss], [exact.loss], row.isAbsolute ? 1e-2 : 1e-5)
    if (row.isAbsolute) expect(apart(exact.gradients.flat(), same.gradients.flat())).toBeLessThan(0.2)
    else for (const [i, values] of exact.gradients.entries()) expectClose(same.gradients[i]!, values, 1e-5)
    expect(half.loss).not.toBe(exact.loss)
    expect(Math.abs(half.loss / exact.loss - 1)).toBeLessThan(0.01)
    expect(apart(exact.gradients.flat(), half.gradients.flat())).toBeLessThan(row.isAbsolute ? 0.2 : 0.04)
    for (const [i, values] of exact.predicted.entries()) {
      expectClose(same.predicted[i]!, values, 1e-4)
      expect(apart(values, half.predicted[i]!)).toBeLessThan(0.02)
    }
  })
})
