import { describe, expect, it } from 'vitest'
import { measureGemm } from '../../src/machine/gemm.ts'
import { liveTensors } from '../../src/tensor/scope.ts'

describe('measureGemm', () => {
  it.each(['float32', 'bfloat16'] as const)('measures a rate in %s and frees what it used', (dtype) => {
    const before = liveTensors()
    const rate = measureGemm({ dtype, side: 64, repeats: 3 })
    expect(rate).toBeGreaterThan(0)
    expect(rate).toBeLessThan(1e7) // GFLOP/s: no machine has 10 PFLOP/s
    expect(liveTensors()).toBe(before)
  })
})
