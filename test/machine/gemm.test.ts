import { describe, expect, it } from 'vitest'
import { measureGemm, measurePeak, peakShapes, square } from '../../src/machine/gemm.ts'
import { liveTensors } from '../../src/tensor/scope.ts'

describe('measureGemm', () => {
  it.each(['float32', 'bfloat16'] as const)('measures a rate in %s and frees what it used', (dtype) => {
    const before = liveTensors()
    for (const shape of [square(64), { rows: 30, inner: 64, columns: 20 }, { ...square(16), batch: 8 }]) {
      const rate = measureGemm({ dtype, shape, repeats: 3 })
      expect(rate).toBeGreaterThan(0)
      expect(rate).toBeLessThan(1e7) // GFLOP/s: no machine has 10 PFLOP/s
    }
    expect(liveTensors()).toBe(before)
  })
})

it('a type that is none is refused before anything is made', () => {
  const device = { toString: () => expect.unreachable('a matrix is made') } as unknown as 'cpu'
  expect(() => measurePeak('int7' as 'float32', device)).toThrow('Unknown dtype "int7"')
})

describe('peakShapes', () => {
  it('are larger where the device is', () => {
    expect(peakShapes('cpu')).toContainEqual({ rows: 1024, inner: 1024, columns: 1024 })
    expect(Math.max(...peakShapes('cuda').map(({ rows }) => rows))).toBe(8192)
  })
})
