import { describe, expect, it } from 'vitest'
import { draws } from '../../src/random/draws.ts'

const address = { seed: 7, stream: 'mask', epoch: 3, index: 11 }

describe('draws', () => {
  it('is a pure function of its address', () => {
    const take = (a: typeof address) => draws(a).fill(new Float32Array(9))
    expect(take(address)).toEqual(take(address))
    for (const other of [{ seed: 8 }, { stream: 'crop' }, { epoch: 4 }, { index: 12 }, { seed: 7 + 2 ** 32 }])
      expect(take({ ...address, ...other })).not.toEqual(take(address))
  })

  it('has the mean and variance of its distributions', () => {
    const d = draws(address)
    const n = 20_000
    const uniforms = Array.from({ length: n }, () => d.uniform())
    const normals = Array.from({ length: n }, () => d.normal())
    const mean = (x: number[]) => x.reduce((a, b) => a + b, 0) / x.length
    const variance = (x: number[]) => mean(x.map((v) => (v - mean(x)) ** 2))
    // Five standard errors around 1/2, 1/12, 0 and 1.
    expect(Math.abs(mean(uniforms) - 0.5)).toBeLessThan((5 * Math.sqrt(1 / 12)) / Math.sqrt(n))
    expect(Math.abs(variance(uniforms) - 1 / 12)).toBeLessThan(0.003)
    expect(Math.abs(mean(normals))).toBeLessThan(5 / Math.sqrt(n))
    expect(Math.abs(variance(normals) - 1)).toBeLessThan(0.06)
    expect(Math.min(...uniforms)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...uniforms)).toBeLessThan(1)
  })

  it('permutes uniformly', () => {
    const seen = new Map<string, number>()
    for (let index = 0; index < 6000; index++) {
      const order = draws({ ...address, index })
        .permutation(3)
        .join('')
      seen.set(order, (seen.get(order) ?? 0) + 1)
    }
    expect([...seen.keys()].sort()).toEqual(['012', '021', '102', '120', '201', '210'])
    for (const count of seen.values()) expect(Math.abs(count - 1000)).toBeLessThan(150)
  })

  it('refuses a seed that it cannot hold', () => {
    expect(() => draws({ ...address, seed: -1 })).toThrow(/seed in \[0, 2\^53\), got -1/)
  })
})
