import { describe, expect, it } from 'vitest'
import { draws } from '../../../src/random/draws.ts'
import { bands } from '../../../src/sample-data/satellite/sentinel-bands.ts'
import {
  drawAir,
  drawClouds,
  drawSwath,
  lightOn,
  shaded,
  sunOn,
} from '../../../src/sample-data/satellite/weather.ts'
import { mean } from './look.ts'

const drawn = (index: number) => draws({ seed: 1, stream: 'weather', epoch: 0, index })
const level = { x: 0, y: 1, rise: 0.5 }

describe('the sun', () => {
  it('stands in the south-east, 60° high at midsummer and 16° at midwinter', () => {
    // sin h = sin 48° sin δ + cos 48° cos δ cos 22.5°, δ = ± 23.44°
    const height = (day: number) => (Math.atan(sunOn(day).rise) * 180) / Math.PI
    expect(height(172)).toBeCloseTo(59.6, 0)
    expect(height(355)).toBeCloseTo(15.8, 0)
    for (const day of [20, 100, 200, 300]) {
      const { x, y } = sunOn(day)
      expect(x).toBeGreaterThan(0)
      expect(y).toBeGreaterThan(0)
      expect(Math.hypot(x, y)).toBeCloseTo(1, 12)
    }
  })

  it('lights a slope by hand: 1 − 0.6 · slope / tan(height), and level ground as it is', () => {
    const size = 4
    const slope = (rise: number) => Float32Array.from({ length: 16 }, (_, at) => rise * Math.floor(at / 4)) // higher to the south: turned away
    expect([...lightOn(slope(0), { size, sun: level })]).toEqual(new Array(16).fill(1))
    for (const light of lightOn(slope(0.1), { size, sun: level })) expect(light).toBeCloseTo(0.88, 5)
    for (const light of lightOn(slope(-0.1), { size, sun: level })) expect(light).toBeCloseTo(1.12, 5)
    for (const light of lightOn(slope(9), { size, sun: level })) expect(light).toBeCloseTo(0.4, 5)
  })

  it('shades the blue less than the infrared, for the sky is blue', () => {
    const left = bands.map((_, b) => shaded(1, 0.4, b))
    expect(left).toEqual([...left].sort((a, b) => b - a))
    expect(left[0]).toBeCloseTo(1 - 0.6 * 0.7, 10)
    expect(left.at(-1)).toBeLessThan(0.43)
  })
})

describe('drawClouds', () => {
  it('covers about the share, and throws the shadow away from the sun', () => {
    const size = 48
    for (let index = 0; index < 10; index++) {
      const sun = { x: 0.6, y: 0.8, rise: 1 }
      const { opacity, shadow, spectrum } = drawClouds(drawn(index), { size, share: 0.2, sun })
      const all = Array.from({ length: size * size }, (_, at) => [at % size, Math.floor(at / size)] as const)
      const covered = mean(all.map(([x, y]) => (opacity(x, y) > 0 ? 1 : 0)))
      expect(covered).toBeGreaterThan(0.2)
      expect(covered).toBeLessThan(0.45)
      // The shadow is the cloud, moved: some distance makes them fit.
      const misfit = (distance: number) =>
        mean(
          all.map(([x, y]) =>
            Math.abs(1 - 0.65 * opacity(x + distance * 0.6, y + distance * 0.8) - shadow(x, y)),
          ),
        )
      const distances = Array.from({ length: 81 }, (_, k) => 4 + k / 20)
      expect(Math.min(...distances.map(misfit))).toBeLessThan(0.02)
      expect(misfit(0)).toBeGreaterThan(0.03)
      expect(Math.min(...spectrum)).toBeGreaterThan(0.25)
    }
  })
})

describe('drawAir', () => {
  it('changes brightness much, the ratio of neighbouring bands little', () => {
    const airs = Array.from({ length: 200 }, (_, index) => drawAir(drawn(index)))
    const deviation = (values: number[]) => Math.sqrt(mean(values.map((v) => (v - mean(values)) ** 2)))
    const b = (name: string) => bands.findIndex((band) => band.name === name)
    const log = (name: string) => airs.map(({ gain }) => Math.log(gain[b(name)]!))
    expect(deviation(log('B8'))).toBeGreaterThan(0.15)
    expect(deviation(log('B8').map((v, k) => v - log('B4')[k]!))).toBeLessThan(0.04)
    for (const { haze } of airs) {
      expect(Math.abs(haze[b('B12')]!)).toBeLessThan(0.1 * Math.abs(haze[b('B2')]!) + 1e-9)
      expect(haze[b('B2')]!).toBeLessThan(0.05)
    }
  })
})

describe('drawSwath', () => {
  it('cuts off about the share along a leaning line, or nothing', () => {
    const size = 100
    for (const missing of [0, 0.1, 0.4])
      for (let index = 0; index < 10; index++) {
        const sees = drawSwath(drawn(index), { size, missing })
        const seen = Array.from({ length: size * size }, (_, at) => sees(at % size, Math.floor(at / size)))
        expect(1 - mean(seen.map(Number))).toBeCloseTo(missing, 1)
        const inRow = (row: number) => seen.slice(row * size, (row + 1) * size).filter(Boolean).length
        if (missing > 0) expect(inRow(0)).not.toBe(inRow(99))
      }
  })
})
