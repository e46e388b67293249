import { describe, expect, it } from 'vitest'
import { draws } from '../../src/random/draws.ts'
import { fractalNoise, gradientNoise, lookUp, sampledField } from '../../src/sample-data/noise.ts'

const address = { seed: 3, stream: 'noise', epoch: 0, index: 0 }

describe('noise', () => {
  it('is zero on the lattice, continuous across it, bounded and of mean 0', () => {
    const noise = gradientNoise(draws(address))
    let sum = 0
    let square = 0
    for (let i = 0; i < 4000; i++) {
      const x = (i % 63) * 0.37
      const y = Math.floor(i / 63) * 0.53
      const value = noise(x, y)
      expect(Math.abs(value)).toBeLessThanOrEqual(1.05)
      sum += value
      square += value * value
    }
    expect(Math.abs(sum / 4000)).toBeLessThan(0.05)
    expect(Math.sqrt(square / 4000)).toBeGreaterThan(0.25)
    expect(noise(5, 9)).toBeCloseTo(0, 12)
    expect(noise(5 - 1e-9, 9.3)).toBeCloseTo(noise(5 + 1e-9, 9.3), 6)
    expect(noise(-3.4, 2.2)).toBeCloseTo(noise(256 - 3.4, 2.2), 9)
  })

  it('adds octaves of falling strength', () => {
    const flat = fractalNoise(() => 1, { octaves: 4, gain: 0.5 })
    expect(flat(0.3, 0.7)).toBe(1.875)
  })

  it('looks a plane up exactly, and keeps to its edge outside', () => {
    const plane = (x: number, y: number) => 2 * x - 3 * y + 1
    const field = sampledField(plane, { side: 13, margin: 0.25 })
    for (const [x, y] of [
      [0, 0],
      [0.31, 0.77],
      [-0.2, 1.2],
    ] as const)
      expect(field(x, y)).toBeCloseTo(plane(x, y), 5)
    expect(field(-9, 0.5)).toBeCloseTo(plane(-0.25, 0.5), 5)
    expect(lookUp(Float32Array.of(0, 1, 2, 3), { side: 2, margin: 0 })(0.5, 0.5)).toBeCloseTo(1.5, 6)
  })
})
