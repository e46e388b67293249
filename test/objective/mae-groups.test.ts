import { describe, expect, it } from 'vitest'
import { initialParameters, weightsOf } from '../../src/model/parameters.ts'
import { totalOf } from '../../src/objective/losses.ts'
import { type MaeOptions, mae } from '../../src/objective/mae.ts'
import { gradientsOf } from '../../src/optim/gradients.ts'
import { initialState } from '../../src/optim/optimizer.ts'
import { update, updateOf } from '../../src/optim/update.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { predictPixels } from '../../src/target/pixel-target.ts'
import { backward, clearGradients, noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, tensor } from '../../src/tensor/tensor.ts'
import { stirredParameters, tiny, tinyDecoder } from '../model/tiny-model.ts'
import { numbers, wave } from '../tolerance.ts'

const BANDS = 5
const dimensions = { ...tiny, channels: BANDS } // 3 × 5 patches of 2 × 2 pixels
const [H, W] = tiny.imageSize
const groups = [[3, 0], [4], [1, 2]]
const usual: MaeOptions = {
  ...{ dimensions, groups, groupWidth: 8, decoder: tinyDecoder },
  ...{ maskRatio: 0.6, device: 'cpu' },
}
const samples = { epochs: [0, 0], indices: [3, 8] }
const LOCATIONS = 15

describe.each(['independent', 'consistent'] as const)('%s masks', (sharing) => {
  const isConsistent = sharing === 'consistent'
  const objective = mae({ ...usual, mask: { groups: sharing, frames: 'independent', perFrame: false } })
  const kept = isConsistent ? 3 * Math.floor(LOCATIONS * 0.4) : Math.floor(3 * LOCATIONS * 0.4)

  it('keep exactly as many tokens of every sample', () =>
    scope(() => {
      expect(objective.tokens).toBe(45)
      const plan = objective.plan({ seed: 1, samples })
      expect([plan.kept.shape, plan.hidden.shape]).toEqual([
        [2, kept],
        [2, 45 - kept],
      ])
      const own = numbers(plan.kept).slice(0, kept)
      const byGroup = [0, 1, 2].map((g) =>
        own
          .filter((n) => Math.floor(n / LOCATIONS) === g)
          .map((n) => n % LOCATIONS)
          .sort((a, b) => a - b),
      )
      if (isConsistent) for (const each of byGroup) expect(each).toEqual(byGroup[0])
      else expect(byGroup[1]).not.toEqual(byGroup[0])
      expect(numbers(objective.plan({ seed: 1, samples }).kept)).toEqual(numbers(plan.kept))
    }))

  it('let no pixel of a hidden token reach the encoder, and every pixel of a seen one', () =>
    noGrad(() =>
      scope(() => {
        const weights = weightsOf(stirredParameters(objective))
        const values = wave(BANDS * H * W, 5)
        const plan = objective.plan({ seed: 1, samples: { epochs: [0], indices: [3] } })
        const seen = new Set(numbers(plan.kept))
        const latentOf = (pixels: readonly number[]) =>
          numbers(
            objective.predict(weights, viewOf(tensor([...pixels], [1, BANDS, H, W])), plan).latent,
          ).join()
        const before = latentOf(values)
        for (let band = 0; band < BANDS; band++)
          for (let location = 0; location < LOCATIONS; location++) {
            const group = groups.findIndex((bands) => bands.includes(band))
            const [y, x] = [2 * Math.floor(location / 5), 2 * (location % 5)]
            const changed = [...values]
            changed[(band * H + y + 1) * W + x]! += 1
            expect(latentOf(changed) !== before).toBe(seen.has(group * LOCATIONS + location))
          }
      }),
    ))
})

it('each head learns the bands that were declared for it', () => {
  // A picture whose every band is one number says by its prediction which band a head speaks of.
  const objective = mae({ ...usual, target: predictPixels({ normalize: false }) })
  const parameters = initialParameters(objective.rows, { seed: 2, device: 'cpu' })
  const adamW = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, clipGradientNorm: null }
  const options = { ...updateOf(adamW), learningRate: 0.02 }
  const state = initialState(options.optimizer, parameters)
  const level = (band: number) => band - 2
  const pixels = Float32Array.from({ length: 2 * BANDS * H * W }, (_, i) =>
    level(Math.floor(i / (H * W)) % BANDS),
  )
  let loss = Number.NaN
  for (let step = 0; step < 120; step++) {
    clearGradients(parameters.values())
    scope(() => {
      const images = tensor(pixels, [2, BANDS, H, W])
      const plan = objective.plan({ seed: 1, samples: { epochs: [step, step], indices: [0, 1] } })
      const made = totalOf(objective.loss(weightsOf(parameters), { image: viewOf(images) }, plan))
      backward(made)
      loss = item(made)
      update(parameters, gradientsOf(parameters), state, { ...options, step, epoch: step })
    })
  }
  expect(loss).toBeLessThan(0.02)
  noGrad(() =>
    scope(() => {
      const images = tensor(pixels, [2, BANDS, H, W])
      const { prediction } = objective.predict(
        weightsOf(parameters),
        viewOf(images),
        objective.plan({ seed: 1, samples }),
      )
      const values = numbers(prediction) // [2, 15, 2·2·5], band last
      for (let band = 0; band < BANDS; band++) {
        const own = values.filter((_, i) => i % BANDS === band)
        const mean = own.reduce((a, b) => a + b, 0) / own.length
        expect(Math.abs(mean - level(band))).toBeLessThan(0.2)
      }
    }),
  )
})

it('a band that no group has is neither seen nor predicted', () =>
  noGrad(() =>
    scope(() => {
      const objective = mae({ ...usual, groups: [[3], [1, 2]] })
      const weights = weightsOf(stirredParameters(objective))
      const plan = objective.plan({ seed: 1, samples: { epochs: [0], indices: [0] } })
      const values = wave(BANDS * H * W, 5)
      const lossOf = (pixels: readonly number[]) =>
        item(totalOf(objective.loss(weights, { image: viewOf(tensor([...pixels], [1, BANDS, H, W])) }, plan)))
      const changed = values.map((value, i) => (Math.floor(i / (H * W)) === 4 ? 9 : value))
      expect(lossOf(changed)).toBe(lossOf(values))
      const { prediction } = objective.predict(weights, viewOf(tensor(values, [1, BANDS, H, W])), plan)
      const bands = [0, 1, 2, 3, 4].map((band) =>
        numbers(prediction).some((x, i) => i % BANDS === band && x !== 0),
      )
      expect(bands).toEqual([false, true, true, true, false])
    }),
  ))

it.each([
  ['a group too wide', { groupWidth: 24 }, /Of a width of 24, model\.groupWidth 24/],
  ['an odd group', { decoder: { ...tinyDecoder, groupWidth: 3 } }, /decoder\.groupWidth 3/],
  ['what is left for the place', { groupWidth: 6 }, /leave a positive multiple of 4/],
  ['a mask of everything', { maskRatio: 0.999 }, /at least one patch must be kept/],
])('refuses %s', (_, over, message) => {
  expect(() => mae({ ...usual, ...over })).toThrow(message)
})
