import { describe, expect, it } from 'vitest'
import { drawMix, type Mix, mixImages, mixTargets } from '../../../src/prepare/augment/mixing.ts'
import { betaDraw } from '../../../src/random/beta.ts'
import { draws } from '../../../src/random/draws.ts'
import { liveTensors, scope } from '../../../src/tensor/scope.ts'
import { tensor } from '../../../src/tensor/tensor.ts'
import { expectClose, numbers, wave } from '../../tolerance.ts'

const samples = (count: number, first = 0, epoch = 0) => ({
  epochs: Array<number>(count).fill(epoch),
  indices: Array.from({ length: count }, (_, i) => first + i),
})
const image = { height: 6, width: 8 }

it('targets by hand: smoothing of 0.1 over four classes, a mixture of 0.3 and 0.7', () => {
  const mix: Mix = {
    partners: Int32Array.of(1, 0, 2),
    shares: Float32Array.of(0.3, 1, 1),
    boxes: new Float32Array(12),
  }
  const targets = mixTargets(Int32Array.of(2, 0, 3), mix, { classes: 4, smoothing: 0.1 })
  expectClose(
    targets,
    [
      ...[0.025 + 0.9 * 0.7, 0.025, 0.025 + 0.9 * 0.3, 0.025],
      ...[0.925, 0.025, 0.025, 0.025],
      ...[0.025, 0.025, 0.025, 0.925],
    ],
    1e-7,
  )
})

it('images by hand: mixup mixes every pixel, CutMix replaces a box, a row without a partner stays', () =>
  scope(() => {
    const before = liveTensors()
    const rows = [1, 10, 5].flatMap((value) => Array<number>(2 * 2 * 3).fill(value))
    const mix: Mix = {
      partners: Int32Array.of(1, 0, 2),
      shares: Float32Array.of(0.25, 0.5, 1),
      boxes: Float32Array.from([...[0, 0, 0, 0], ...[0, 1, 2, 3], ...[0, 0, 0, 0]]), // rows 0–1, columns 1–2 of the second
    }
    const mixed = mixImages(tensor(rows, [3, 2, 2, 3]), mix)
    expect(liveTensors()).toBe(before + 2) // the images and their mixtures
    expectClose(
      mixed,
      [
        ...Array<number>(12).fill(0.25 * 1 + 0.75 * 10),
        ...Array(4).fill([10, 1, 1]).flat(),
        ...Array<number>(12).fill(5),
      ],
      1e-6,
    )
  }))

describe('drawMix', () => {
  const options = { mixup: 0.8, cutmix: 1, seed: 7 }

  it('changes most images, keeps their range, and the share of a cut is that of its pixels', () =>
    scope(() => {
      const mix = drawMix(options, samples(64), image)
      const images = tensor(wave(64 * 3 * 48, 1), [64, 3, 6, 8])
      const [before, after] = [numbers(images), numbers(mixImages(images, mix))]
      expect(Math.max(...after)).toBeLessThanOrEqual(Math.max(...before))
      expect(Math.min(...after)).toBeGreaterThanOrEqual(Math.min(...before))
      let [cuts, changed] = [0, 0]
      for (let b = 0; b < 64; b++) {
        const [own, made] = [before, after].map((all) => all.slice(b * 144, b * 144 + 48)) as [
          number[],
          number[],
        ]
        const same = made.filter((value, i) => Math.abs(value - own[i]!) < 1e-6).length / 48
        if (same < 1) changed++
        if (mix.boxes[4 * b + 2]! > mix.boxes[4 * b]! && mix.boxes[4 * b + 3]! > mix.boxes[4 * b + 1]!) {
          cuts++
          expect(mix.shares[b]).toBeCloseTo(same, 5)
        }
      }
      expect(changed).toBeGreaterThan(55)
      expect(Math.abs(cuts - 28)).toBeLessThan(14) // about half; some boxes are empty
    }))

  it('is a pure function of the address: the same in another batch, another in another epoch', () => {
    const all = drawMix(options, samples(32), image)
    const later = drawMix(options, samples(8, 16), image)
    expect([...later.shares]).toEqual([...all.shares.slice(16, 24)])
    expect([...later.boxes]).toEqual([...all.boxes.slice(64, 96)])
    expect([...drawMix(options, samples(32, 0, 1), image).shares]).not.toEqual([...all.shares])
    expect([...all.partners.slice(0, 4)]).toEqual([1, 0, 3, 2])
  })

  it('mixes nothing when it is off, nor a last row that has no partner', () => {
    expect(new Set(drawMix({ mixup: 0, cutmix: 0, seed: 1 }, samples(6), image).shares)).toEqual(new Set([1]))
    const odd = drawMix({ mixup: 1, cutmix: 0, seed: 1 }, samples(5), image)
    expect([odd.partners[4], odd.shares[4]]).toEqual([4, 1])
    for (const share of odd.shares.slice(0, 4)) expect(share).toBeLessThan(1)
  })
})

it.each([
  [0.8, 1 / (4 * (2 * 0.8 + 1))],
  [1, 1 / 12],
  [2, 1 / 20],
])('betaDraw(%d) has the mean ½ and the variance of the distribution', (alpha, variance) => {
  const next = draws({ seed: 1, stream: 'beta', epoch: 0, index: 0 })
  const drawn = Array.from({ length: 20_000 }, () => betaDraw(next, alpha))
  const mean = drawn.reduce((a, b) => a + b, 0) / drawn.length
  expect(mean).toBeCloseTo(0.5, 2)
  expect(drawn.reduce((total, x) => total + (x - mean) ** 2, 0) / drawn.length).toBeCloseTo(variance, 2)
  expect(drawn.every((x) => x >= 0 && x <= 1)).toBe(true)
})
