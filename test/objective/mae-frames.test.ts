// Frames, groups and dates together: what is seen, what is told, and what has to be said.
import { describe, expect, it } from 'vitest'
import { weightsOf } from '../../src/model/parameters.ts'
import { totalOf } from '../../src/objective/losses.ts'
import { type MaeOptions, mae } from '../../src/objective/mae.ts'
import { predictPixels } from '../../src/target/pixel-target.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { narrow } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { item } from '../../src/tensor/tensor.ts'
import { maskOf } from '../../src/token/mask.ts'
import { stirredParameters, tinyDecoder } from '../model/tiny-model.ts'
import {
  bands,
  dates,
  groups,
  H,
  L,
  placeOf,
  series,
  seriesValues,
  T,
  tokenAt,
  tokens,
  viewsOfValues,
  W,
} from '../model/tiny-series.ts'
import { numbers } from '../tolerance.ts'

const usual: MaeOptions = {
  ...series,
  decoder: tinyDecoder,
  maskRatio: 0.6,
  device: 'cpu',
}
const weights = weightsOf(stirredParameters(mae(usual)))
const one = { epochs: [0], indices: [3] }
const quiet = <R>(body: () => R): R => noGrad(() => scope(body))
const missing = (values: readonly number[], frame: number): number[] =>
  values.map((value, i) => (Math.floor(i / (bands * H * W)) % T === frame ? Number.NaN : value))

describe.each([
  ['groups and dates', {}],
  ['dates alone', { groups: null }],
  ['groups alone', { frames: 1, time: null }],
] as const)('%s', (_, over) => {
  const objective = mae({ ...usual, ...over })
  const own = weightsOf(stirredParameters(objective))
  const frames = 'frames' in over ? 1 : T
  const isGrouped = !('groups' in over)
  const tokenOf = (frame: number, band: number, row: number, column: number) => {
    const token = tokenAt(frame, band, row, column)
    if (!isGrouped)
      return token < 0 ? frame * L + Math.floor(row / 2) * 3 + Math.floor(column / 2) : token % (T * L)
    const group = Math.floor(token / (T * L))
    return token < 0 ? -1 : (group * frames + frame) * L + (token % L)
  }

  it('let no pixel of a hidden token reach the latent, and every pixel of a seen one', () =>
    quiet(() => {
      const values = seriesValues(1).slice(0, frames * bands * H * W)
      const viewsAt = (pixels: readonly number[]) => {
        const views = viewsOfValues(1, frames === T ? pixels : [...pixels, ...pixels])
        if (frames === T) return views
        return { ...views, pixels: narrow(views.pixels, 1, 0, 1), times: null }
      }
      const plan = objective.plan({ seed: 1, samples: one })
      const seen = new Set(numbers(plan.kept))
      const latentOf = (pixels: readonly number[]) =>
        numbers(objective.predict(own, viewsAt(pixels), plan).latent).join()
      const before = latentOf(values)
      for (let i = 0; i < values.length; i++) {
        if (i % 2 === 1) continue // one of the two columns of each patch
        const changed = [...values]
        changed[i]! += 1
        const [frame, band] = [Math.floor(i / (bands * H * W)), Math.floor(i / (H * W)) % bands]
        const token = tokenOf(frame, band, Math.floor(i / W) % H, i % W)
        expect(latentOf(changed) !== before).toBe(seen.has(token))
      }
    }))
})

it('the loss is the mean over hidden tokens of their mean squared error, each by its own head', () =>
  quiet(() => {
    const objective = mae({ ...usual, target: predictPixels({ normalize: false }) })
    const values = seriesValues(2)
    const plan = objective.plan({ seed: 1, samples: { epochs: [0, 0], indices: [3, 4] } })
    const views = viewsOfValues(2, values)
    // [B, T · L, 2 · 2 · 4]: frame, location; pixel, band
    const predicted = numbers(objective.predict(weights, views, plan).prediction)
    const mask = numbers(maskOf(plan))
    let [sum, count] = [0, 0]
    for (let b = 0; b < 2; b++)
      for (let token = 0; token < tokens; token++) {
        if (mask[b * tokens + token] === 0) continue
        const { group, frame, row, column } = placeOf(token)
        const own = groups[group]!
        for (const band of own)
          for (let pixel = 0; pixel < 4; pixel++) {
            const [y, x] = [2 * row + (pixel >> 1), 2 * column + (pixel & 1)]
            const truth = values[(((b * T + frame) * bands + band) * H + y) * W + x]!
            const said = predicted[((b * T + frame) * L + (token % L)) * 16 + pixel * 4 + band]!
            sum += (said - truth) ** 2 / (4 * own.length)
          }
        count++
      }
    expect(count).toBe(2 * 15) // ⌊24 · 0.4⌋ = 9 are seen
    expect(item(totalOf(objective.loss(weights, { image: views }, plan)))).toBeCloseTo(sum / count, 5)
  }))

describe('dates', () => {
  const objective = mae(usual)
  const timeless = mae({ ...usual, time: null })
  const later = Float64Array.of(dates[0]!, Date.UTC(2021, 9, 1, 9))

  it('reach latent and prediction only with time fields', () =>
    quiet(() => {
      const made = (which: typeof objective, times: Float64Array) => {
        const { latent, prediction } = which.predict(
          weights,
          viewsOfValues(1, seriesValues(1), times),
          which.plan({ seed: 1, samples: one }),
        )
        return [numbers(latent).join(), numbers(prediction).join()]
      }
      const [before, after] = [made(objective, dates), made(objective, later)]
      expect(after[0]).not.toBe(before[0])
      expect(after[1]).not.toBe(before[1])
      expect(made(timeless, later)).toEqual(made(timeless, dates))
    }))

  it('belong to their own sample: the same dates in another order of the batch give the same', () =>
    quiet(() => {
      const [a, b] = [seriesValues(1, 1), seriesValues(1, 2)]
      const times = Float64Array.of(dates[0]!, Number.NaN, later[1]!, dates[0]!)
      const both = { ...viewsOfValues(2, [...a, ...b]), times }
      const turned = {
        ...viewsOfValues(2, [...b, ...a]),
        times: Float64Array.of(...times.slice(2), ...times.slice(0, 2)),
      }
      const latents = (views: typeof both, indices: number[]) => {
        const plan = objective.plan({ seed: 1, samples: { epochs: [0, 0], indices } })
        const values = numbers(objective.predict(weights, views, plan).prediction)
        return [values.slice(0, values.length / 2), values.slice(values.length / 2)]
      }
      const [first, second] = latents(both, [3, 4])
      const [second_, first_] = latents(turned, [4, 3])
      for (const [x, y] of [
        [first!, first_!],
        [second!, second_!],
      ] as const)
        expect(Math.max(...x.map((value, i) => Math.abs(value - y[i]!)))).toBeLessThan(1e-5)
    }))
})

describe('a missing frame', () => {
  it.each([
    ['independent', 'independent', false],
    ['independent', 'independent', true],
    ['consistent', 'independent', true],
    ['independent', 'consistent', false],
    ['consistent', 'consistent', false],
  ] as const)(
    'is never seen, and costs nothing: %s groups, %s frames, per frame %s',
    (ofGroups, ofFrames, perFrame) =>
      quiet(() => {
        const objective = mae({ ...usual, mask: { groups: ofGroups, frames: ofFrames, perFrame } })
        for (const frame of [0, 1]) {
          const values = missing(seriesValues(2), frame)
          const views = viewsOfValues(2, values)
          const plan = objective.plan(
            { seed: 1, samples: { epochs: [0, 1], indices: [3, 4] } },
            { image: views },
          )
          const whole = objective.plan({ seed: 1, samples: { epochs: [0, 1], indices: [3, 4] } })
          expect(plan.kept.shape).toEqual(whole.kept.shape)
          for (const token of numbers(plan.kept)) expect(placeOf(token).frame).toBe(1 - frame)
          const loss = item(totalOf(objective.loss(weights, { image: views }, plan)))
          expect(Number.isFinite(loss) && loss > 0).toBe(true)
        }
      }),
  )

  it('changes nothing by its date', () =>
    quiet(() => {
      // A missing frame has no date either; where it had one, its mask tokens would tell it to the decoder.
      const objective = mae(usual)
      const views = viewsOfValues(1, missing(seriesValues(1), 1), Float64Array.of(dates[0]!, Number.NaN))
      const plan = objective.plan({ seed: 1, samples: one }, { image: views })
      const dated = { ...views, times: dates }
      const latentOf = (each: typeof views) => numbers(objective.predict(weights, each, plan).latent).join()
      expect(latentOf(dated)).toBe(latentOf(views))
    }))
})

it('keeps the loss alone', () =>
  noGrad(() =>
    scope(() => {
      const objective = mae(usual)
      const views = viewsOfValues(1, missing(seriesValues(1), 0))
      const plan = objective.plan({ seed: 1, samples: one }, { image: views })
      const before = liveTensors()
      totalOf(objective.loss(weights, { image: views }, plan))
      expect(liveTensors() - before).toBe(1)
    }),
  ))
