// Pixels without data: neither seen nor scored, and where there are none, nothing is different.
import { describe, expect, it } from 'vitest'
import { weightsOf } from '../../src/model/parameters.ts'
import { totalOf } from '../../src/objective/losses.ts'
import { type MaeOptions, mae } from '../../src/objective/mae.ts'
import type { View } from '../../src/prepare/view.ts'
import { type BandStatistics, bandStatistics } from '../../src/target/band-pixels.ts'
import { predictPixels } from '../../src/target/pixel-target.ts'
import { backward, clearGradients, gradient, noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, tensor } from '../../src/tensor/tensor.ts'
import { type MaskPlan, maskOf, planFromMask } from '../../src/token/mask.ts'
import { stirredParameters, tinyDecoder } from '../model/tiny-model.ts'
import {
  at,
  bands,
  groups,
  H,
  L,
  placeOf,
  series,
  seriesValues,
  T,
  tokens,
  viewsOfValues,
  W,
} from '../model/tiny-series.ts'
import { expectClose, numbers } from '../tolerance.ts'

const usual: MaeOptions = {
  ...series,
  decoder: tinyDecoder,
  maskRatio: 0.6,
  device: 'cpu',
}
const parameters = stirredParameters(mae(usual))
const weights = weightsOf(parameters)
const one = { epochs: [0], indices: [3] }
const quiet = <R>(body: () => R): R => noGrad(() => scope(body))

/** Frame, row, column without data: two pixels of location 0 of frame 0; all of location 4 of frame 0; one of frame 1. */
const gaps = [
  [0, 0, 0],
  [0, 1, 1],
  ...[2, 3].flatMap((row) => [2, 3].map((column) => [0, row, column] as const)),
  [1, 1, 5],
] as const
const emptyTokens = groups.map((_, g) => g * T * L + 4)
const isGap = (frame: number, row: number, column: number) =>
  gaps.some(([t, y, x]) => t === frame && y === row && x === column)
/** One band of each of these pixels is NaN: that is enough. */
const withGaps = (values: readonly number[], band = 2): number[] => {
  const made = [...values]
  for (const [frame, row, column] of gaps) made[at(frame, band, row, column)] = Number.NaN
  return made
}
/** A plan that hides location 0 of frame 0 and of frame 1, location 4, and what it likes of the rest. */
const fixedPlan = (): MaskPlan =>
  planFromMask([Array.from({ length: tokens }, (_, n) => [0, 4, 5].includes(n % L))])

/** The loss, all gradients, the latent. */
function everything(views: View, plan: MaskPlan, options = usual) {
  const objective = mae(options)
  clearGradients(parameters.values())
  const loss = scope(() => {
    const made = totalOf(objective.loss(weights, { image: views }, plan))
    backward(made)
    return item(made)
  })
  const gradients = [...parameters].map(([name, x]) => [name, scope(() => numbers(gradient(x)!))] as const)
  const { latent } = noGrad(() => objective.predict(weights, views, plan))
  return { loss, gradients, latent: numbers(latent) }
}

describe.each(bandStatistics)('normalised by %s', (statistics) => {
  const options = { ...usual, target: predictPixels({ statistics }) }

  it('the values of a pixel without data change neither latent nor loss nor gradient', () =>
    scope(() => {
      const values = seriesValues(1)
      const views = viewsOfValues(1, withGaps(values))
      const plan = mae(options).plan({ seed: 1, samples: one }, { image: views })
      const before = everything(views, plan, options)
      expect(before.loss).toBeGreaterThan(0)
      expect(before.gradients.every(([, gradients]) => gradients.every(Number.isFinite))).toBe(true)
      // The other bands of those pixels say something else, and another band is the one that is unknown.
      const changed = values.map((value, i) => {
        const [frame, row, column] = [Math.floor(i / (bands * H * W)), Math.floor(i / W) % H, i % W]
        return isGap(frame, row, column) ? 100 + i : value
      })
      for (const band of [2, 0])
        expect(everything(viewsOfValues(1, withGaps(changed, band)), plan, options)).toEqual(before)
    }))

  it('the loss is that of the valid values of hidden tokens, by hand', () =>
    quiet(() => {
      const values = seriesValues(1)
      const views = viewsOfValues(1, withGaps(values))
      const objective = mae(options)
      const plan = fixedPlan()
      const predicted = numbers(objective.predict(weights, views, plan).prediction) // frame, location; pixel, band
      const mask = numbers(maskOf(plan))
      const errors: number[] = []
      for (let token = 0; token < tokens; token++) {
        const { group, frame, row, column } = placeOf(token)
        const pixels = [0, 1, 2, 3].filter((i) => !isGap(frame, 2 * row + (i >> 1), 2 * column + (i & 1)))
        if (mask[token] === 0 || pixels.length === 0) continue
        const value = (band: number, i: number) =>
          values[at(frame, band, 2 * row + (i >> 1), 2 * column + (i & 1))]!
        const said = (band: number, i: number) => predicted[(frame * L + (token % L)) * 16 + i * 4 + band]!
        const own = groups[group]!
        const normalizers = (band: number): readonly number[] =>
          ({ group: own, band: [band], all: [0, 1, 2, 3] })[statistics].flatMap((b) =>
            pixels.map((i) => value(b, i)),
          )
        const squares = own.flatMap((band) => {
          const among = normalizers(band)
          const mean = among.reduce((a, b) => a + b, 0) / among.length
          const variance = among.reduce((a, b) => a + (b - mean) ** 2, 0) / Math.max(among.length - 1, 1)
          return pixels.map(
            (i) => (said(band, i) - (value(band, i) - mean) / Math.sqrt(variance + 1e-6)) ** 2,
          )
        })
        errors.push(squares.reduce((a, b) => a + b, 0) / squares.length)
      }
      expect(errors).toHaveLength(12 - 2) // three of six locations, less the two tokens without data
      const expected = errors.reduce((a, b) => a + b, 0) / errors.length
      expect(item(totalOf(objective.loss(weights, { image: views }, plan)))).toBeCloseTo(expected, 5)
    }))
})

it('a token without data is never seen', () =>
  scope(() => {
    const objective = mae(usual)
    const views = viewsOfValues(1, withGaps(seriesValues(1)))
    for (let index = 0; index < 30; index++) {
      const kept = numbers(
        objective.plan({ seed: 1, samples: { epochs: [0], indices: [index] } }, { image: views }).kept,
      )
      expect(kept).toHaveLength(9)
      for (const token of emptyTokens) expect(kept).not.toContain(token)
    }
    // Location 4 has the lowest noise: tokens 4, 10, 16 and 22, of which 4 and 16 are without data.
    const noise = Array.from({ length: tokens }, (_, n) => (n % L === 4 ? 0 : 0.5 + n / 100))
    const plan = objective.planFromNoise(tensor(noise, [1, tokens]), views)
    expect(numbers(plan.kept)).toEqual([10, 22, 0, 1, 2, 3, 5, 6, 7])
  }))

describe('a batch without gaps is what it is without validity', () => {
  const whole = (views: View): View => ({
    ...views,
    valid: tensor(Array(2 * T * H * W).fill(1), [2, T, H, W]),
  })
  const batch = { epochs: [0, 0], indices: [3, 4] }

  it.each([
    ...bandStatistics.flatMap((statistics) =>
      [series.groups, [[3, 0]], null].map((given) => [statistics as BandStatistics | null, given] as const),
    ),
    ...[series.groups, [[3, 0]], null].map((given) => [null, given] as const),
  ])('normalised by %s, groups %j', (statistics, given) =>
    quiet(() => {
      const objective = mae({
        ...{ ...usual, groups: given },
        target: predictPixels(statistics ? { statistics } : { normalize: false }),
      })
      const own = weightsOf(stirredParameters(objective))
      const views = viewsOfValues(2, seriesValues(2))
      expect(views.valid).toBeNull()
      const plan = objective.plan({ seed: 1, samples: batch })
      expect(numbers(objective.plan({ seed: 1, samples: batch }, { image: whole(views) }).kept)).toEqual(
        numbers(plan.kept),
      )
      const expected = item(totalOf(objective.loss(own, { image: views }, plan)))
      expectClose([item(totalOf(objective.loss(own, { image: whole(views) }, plan)))], [expected], 1e-6)
    }),
  )
})

it('a batch of nothing costs nothing', () =>
  scope(() => {
    const views = viewsOfValues(
      1,
      seriesValues(1).map(() => Number.NaN),
    )
    const { loss, gradients } = everything(
      views,
      mae(usual).plan({ seed: 1, samples: one }, { image: views }),
    )
    expect(loss).toBe(0)
    expect(gradients.every(([, values]) => values.every((value) => value === 0))).toBe(true)
  }))
