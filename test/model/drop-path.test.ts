import { expect, it } from 'vitest'
import { dropPath, dropPathFactors } from '../../src/model/drop-path.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { numbers } from '../tolerance.ts'

const samples = (count: number, epoch = 0) => ({
  epochs: Array<number>(count).fill(epoch),
  indices: Array.from({ length: count }, (_, i) => i),
})
const options = { rate: 0.4, depth: 5, seed: 3 }

it('the rate grows from 0 to that of the last block, and the mean stays', () => {
  for (const [block, rate] of [
    [0, 0],
    [2, 0.2],
    [4, 0.4],
  ] as const) {
    const factors = dropPathFactors(options, samples(20_000), block, 1)
    const dropped = factors.filter((factor) => factor === 0).length / factors.length
    expect(Math.abs(dropped - rate)).toBeLessThan(0.012)
    expect(new Set(factors)).toEqual(new Set(rate === 0 ? [1] : [0, Math.fround(1 / (1 - rate))]))
    expect(factors.reduce((a, b) => a + b, 0) / factors.length).toBeCloseTo(1, 1)
  }
})

it('is a pure function of the address, another one for every half, block, epoch and seed', () => {
  const drawn = (over: Partial<typeof options> = {}, epoch = 0, block = 4, half: 0 | 1 = 0) =>
    dropPathFactors({ ...options, ...over }, samples(64, epoch), block, half).join()
  const own = drawn()
  expect(drawn()).toBe(own)
  for (const other of [drawn({ seed: 4 }), drawn({}, 1), drawn({}, 0, 3), drawn({}, 0, 4, 1)])
    expect(other).not.toBe(own)
  const later = dropPathFactors(options, { epochs: [0, 0], indices: [40, 41] }, 4, 0)
  expect([...later]).toEqual([...dropPathFactors(options, samples(64), 4, 0).slice(40, 42)])
})

it('multiplies the whole change of a sample', () =>
  scope(() => {
    const change = tensor(new Float32Array(8 * 2 * 3).fill(2), [8, 2, 3])
    const factors = dropPathFactors(options, samples(8), 4, 0)
    const result = numbers(dropPath(options, samples(8))(change, 4, 0))
    for (let b = 0; b < 8; b++) expect(result.slice(6 * b, 6 * b + 6)).toEqual(Array(6).fill(2 * factors[b]!))
    expect(dropPath({ ...options, rate: 0 }, samples(8))(change, 4, 0)).toBe(change)
  }))
