/** Masks whose samples differ in counts, or throw tokens: every target's loss is the mean over all hidden tokens of the batch. */
import { describe, expect, it } from 'vitest'
import { weightsOf } from '../../src/model/parameters.ts'
import { maskTokens } from '../../src/objective/mask-tokens.ts'
import type { MaskedObjective } from '../../src/objective/masked.ts'
import { type View, viewOf } from '../../src/prepare/view.ts'
import { predictHog } from '../../src/target/hog.ts'
import { predictPixels } from '../../src/target/pixel-target.ts'
import type { TargetMaker } from '../../src/target/target.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { withKernels } from '../../src/tensor/fused.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, tensor } from '../../src/tensor/tensor.ts'
import { planFromMask } from '../../src/token/mask.ts'
import { stirredParameters, tiny, tinyDecoder, tinyImages, tinyMae } from '../model/tiny-model.ts'
import { series, tokens as seriesTokens, seriesValues, values, viewsOfValues } from '../model/tiny-series.ts'
import { numbers, wave } from '../tolerance.ts'

const pictured = <T>(body: () => T): T => noGrad(() => scope(body))

/** States of three samples that hide 9, 4 and 6 of 15 tokens; the second throws two, the last one. */
const masks = [
  Array.from({ length: 15 }, (_, n) => (n % 5 < 3 ? 1 : 0)),
  Array.from({ length: 15 }, (_, n) => (n < 4 ? 1 : n > 12 ? -1 : 0)),
  Array.from({ length: 15 }, (_, n) => (n % 2 === 1 ? (n > 12 ? -1 : 1) : 0)),
]

interface Case {
  readonly objective: MaskedObjective
  readonly view: (samples: readonly number[]) => View
  readonly masks: readonly (readonly number[])[]
}

const targets: Record<string, TargetMaker> = {
  'normalised pixels': predictPixels(),
  pixels: predictPixels({ normalize: false }),
  'pixels of SimMIM': predictPixels({ normalize: false, form: 'simmim' }),
  'normalised pixels of SimMIM': predictPixels({ form: 'simmim' }),
  gradients: predictHog({ cellSize: 1, bins: 5, gaussianWindow: 0 }),
}
const images = (samples: readonly number[]) =>
  viewOf(
    tensor(
      samples.flatMap((b) => wave(180, b)),
      [samples.length, 3, 6, 10],
    ),
  )
const shared = { dimensions: tiny, maskRatio: 0.6, device: 'cpu' } as const
const cases: Record<string, Case> = {
  ...Object.fromEntries(
    Object.entries(targets).flatMap(([name, target]): [string, Case][] => [
      [`mae of ${name}`, { objective: tinyMae({ target }), view: images, masks }],
      [`mask tokens of ${name}`, { objective: maskTokens({ ...shared, target }), view: images, masks }],
    ]),
  ),
  ...Object.fromEntries(
    [[0, 1], []].map((featureMaps) => [
      `cross-attention to ${featureMaps.length} maps`,
      {
        objective: tinyMae({
          decoder: { ...tinyDecoder, kind: 'cross-attention', featureMaps, useInput: false },
        }),
        ...{ view: images, masks },
      },
    ]),
  ),
  'mae of bands and dates': {
    objective: tinyMae(series),
    view: (samples) => {
      const all = seriesValues(3)
      return viewsOfValues(
        samples.length,
        samples.flatMap((b) => all.slice(b * values, (b + 1) * values)),
      )
    },
    masks: [0, 1, 2].map((b) =>
      Array.from({ length: seriesTokens }, (_, n) => ((n * 7 + b) % 11 < 4 + b ? 1 : n === 5 ? -1 : 0)),
    ),
  },
}

describe.each(Object.entries(cases))('%s', (_, { objective, view, masks: states }) => {
  const weights = weightsOf(stirredParameters(objective))
  const part = objective.target.part
  const lossOf = (samples: readonly number[]) => {
    const plan = planFromMask(samples.map((b) => states[b]!))
    return item(objective.loss(weights, { image: view(samples) }, plan).parts[part]!.mean)
  }
  const counts = states.map((row) => row.filter((state) => state === 1).length)

  it.each(['fused', 'composed'] as const)(
    'the loss of a batch is the mean over the tokens of its samples alone, with kernels %s',
    (kernels) =>
      withKernels(kernels, () =>
        pictured(() => {
          const alone = [0, 1, 2].map((b) => lossOf([b]) * counts[b]!)
          const expected = alone.reduce((a, b) => a + b) / counts.reduce((a, b) => a + b)
          expect(lossOf([0, 1, 2])).toBeCloseTo(expected, 5)
        }),
      ),
  )

  it('predicts for each sample what it predicts for it alone', () =>
    pictured(() => {
      const predict = (samples: readonly number[]) =>
        numbers(
          objective.predict(weights, view(samples), planFromMask(samples.map((b) => states[b]!))).prediction,
        )
      const [whole, alone] = [predict([0, 1, 2]), [0, 1, 2].flatMap((b) => predict([b]))]
      for (const [i, value] of whole.entries()) expect(value).toBeCloseTo(alone[i]!, 4)
    }))
})

describe('a thrown token', () => {
  const objective = tinyMae()
  const weights = weightsOf(stirredParameters(objective))
  const plan = () => planFromMask([[1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, -1, -1]])
  /** With the first pixel of the patch in the last row, third and fourth column, changed by one. */
  const changed = (column: number) => {
    const all = wave(180, 0)
    all[4 * 10 + 2 * column]! += 1
    return viewOf(tensor(all, [1, 3, 6, 10]))
  }
  const lossOf = (view: View) => item(objective.loss(weights, { image: view }, plan()).parts.pixels!.mean)

  it('is neither seen nor predicted: its pixels do not change the loss', () =>
    pictured(() => {
      const plain = lossOf(viewOf(tinyImages(1)))
      expect(lossOf(changed(3))).toBe(plain) // patch 13
      expect(lossOf(changed(1))).not.toBe(plain) // patch 11, seen
    }))

  it('has a prediction in pictures that changes no other', () =>
    pictured(() => {
      const row = (state: number) => [1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, state, state]
      const of = (state: number) =>
        numbers(objective.predict(weights, viewOf(tinyImages(1)), planFromMask([row(state)])).prediction)
      const loss = lossOf(viewOf(tinyImages(1)))
      const thrown = of(-1)
      expect(thrown.every(Number.isFinite)).toBe(true)
      // What the pictures show of hidden tokens is what the loss is of.
      const target = numbers(
        pictured(() => {
          const patches = Array.from({ length: 7 }, (_, n) => {
            const at = (c: number, y: number, x: number) =>
              wave(180, 0)[c * 60 + (2 * Math.floor(n / 5) + y) * 10 + 2 * (n % 5) + x]!
            const own = [0, 1].flatMap((y) => [0, 1].flatMap((x) => [0, 1, 2].map((c) => at(c, y, x))))
            const mean = own.reduce((a, b) => a + b) / 12
            const variance = own.reduce((a, b) => a + (b - mean) ** 2, 0) / 11
            return own.map((v) => (v - mean) / Math.sqrt(variance + 1e-6))
          })
          return tensor(patches.flat(), [7, 12])
        }),
      )
      const error = target.reduce((sum, t, i) => sum + (t - thrown[i]!) ** 2, 0) / target.length
      expect(error).toBeCloseTo(loss, 5)
      expect(of(1).slice(0, 84)).not.toEqual(thrown.slice(0, 84)) // hidden, they would be attended to
    }))
})
