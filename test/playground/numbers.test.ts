import { describe, expect, it } from 'vitest'
import { heat } from '../../playground/src/colours.ts'
import type { ModelFacts } from '../../playground/src/model-facts.ts'
import { rebuild } from '../../playground/src/rebuild.ts'
import { decibels, largest, placeOf } from '../../playground/src/words.ts'

// Two patches of 2 × 2 grey pixels, the second hidden.
const facts: ModelFacts = {
  ...{ kind: 'autoencoder', name: 'x', size: { width: 4, height: 2 }, patchSize: [2, 2], channels: 1 },
  ...{ grid: { h: 1, w: 2 }, statistics: { mean: [0.5], std: [0.25] }, normalizeTarget: false },
  preparing: { fitting: { resize: 'box', cropShare: 1, cutRule: 'before', isExact: false }, rules: {} },
  ...{ learned: 'pixels', ratio: 0.5, step: null, precision: 'fp32', attending: null, hasPooling: false },
}
const bytes = Uint8Array.of(51, 51, 102, 102, 51, 51, 102, 204)
const hidden = Uint8Array.of(0, 1)
const inUnits = (levels: readonly number[]) => levels.map((level) => (level / 255 - 0.5) / 0.25)

describe('a rebuilt picture', () => {
  const prediction = Float32Array.from(inUnits([0, 0, 0, 0, 102, 102, 132, 174]))
  const made = rebuild(bytes, { prediction, hidden }, facts, 'true')

  it('of a model of raw pixels needs no statistics, whatever is asked for', () =>
    expect(made.statistics).toBe('raw'))

  it('has visible patches as they are and hidden ones as predicted', () => {
    const levels = Array.from(made.image, (value) => Math.round(255 * value))
    expect(levels).toEqual([51, 51, 102, 102, 51, 51, 132, 174])
  })

  it('says how far it is from the truth', () => {
    // Differences 0, 0, 30, 30 in levels: the root of their mean square.
    expect(made.levels[0]).toBeNaN()
    expect(made.levels[1]).toBeCloseTo(Math.sqrt(900 / 2), 3)
    expect(made.psnr).toBeCloseTo(-10 * Math.log10(450 / 255 ** 2), 4)
    expect(made.loss).toBeCloseTo(450 / (255 * 0.25) ** 2, 5)
    expect(made.loss).toBe(made.losses[1])
  })

  it('is clipped where it is shown', () => {
    const wild = rebuild(
      bytes,
      { prediction: Float32Array.from(inUnits([0, 0, 0, 0, 102, 102, 102, 900])), hidden },
      facts,
      'true',
    )
    expect(wild.levels[1]).toBeCloseTo(Math.sqrt(51 ** 2 / 4), 3) // 255 and not 900
  })

  it('of normalised patches takes brightness and contrast from where it says', () => {
    const normal = { ...facts, normalizeTarget: true }
    const flat = new Float32Array(8)
    const guessed = rebuild(bytes, { prediction: flat, hidden }, normal, 'neighbours')
    const leaked = rebuild(bytes, { prediction: flat, hidden }, normal, 'true')
    const level = ({ image }: typeof made) => 255 * image[2]!
    expect([guessed.statistics, leaked.statistics]).toEqual(['neighbours', 'true'])
    expect(level(guessed)).toBeCloseTo((51 + 51 + 51 + 51) / 4, 3) // of pixels 0, 1 of both rows
    expect(level(leaked)).toBeCloseTo((102 + 102 + 102 + 204) / 4, 3)
    expect(guessed.loss).toBe(leaked.loss)
  })
})

describe('colours', () => {
  const lightness = ([r, g, b]: readonly [number, number, number]) => 0.2126 * r + 0.7152 * g + 0.0722 * b

  it.each([
    ['paper', false, -1],
    ['dark ground', true, 1],
  ] as const)('on %s their lightness goes one way', (_, isDark, way) => {
    for (let i = 0; i < 100; i++) {
      const step = lightness(heat((i + 1) / 100, isDark)) - lightness(heat(i / 100, isDark))
      expect(way * step).toBeGreaterThan(0)
    }
    expect(heat(7, isDark)).toEqual(heat(1, isDark))
    expect(heat(-7, isDark)).toEqual(heat(0, isDark))
  })
})

it('numbers in words', () => {
  expect(decibels(Number.POSITIVE_INFINITY)).toBe('∞ dB')
  expect(decibels(20.06)).toBe('20.1 dB')
  expect(placeOf({ h: 2, w: 3 }, 5)).toBe('row 2, column 3')
  expect(largest([Number.NaN, 1, 3, 3, Number.NaN])).toEqual({ at: 2, value: 3 })
  expect(largest([Number.NaN])).toBeNull()
})
