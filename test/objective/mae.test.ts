import { describe, expect, it } from 'vitest'
import { weightsOf } from '../../src/model/parameters.ts'
import { totalOf } from '../../src/objective/losses.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { predictPixels } from '../../src/target/pixel-target.ts'
import { backward, clearGradients, gradient, noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { maskOf, planFromMask } from '../../src/token/mask.ts'
import { patchify } from '../../src/token/patchify.ts'
import { stirredParameters, tiny, tinyImages, tinyMae } from '../model/tiny-model.ts'
import { addresses, maskConformance } from '../token/mask-conformance.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'

const [B, N] = [2, 15]
const batch = addresses([0, 3], [1, 8])
const objective = tinyMae()
const parameters = stirredParameters(objective)
const weights = weightsOf(parameters)
const lossOf = (images: Tensor, options: { normalize?: boolean; seed?: number } = {}) =>
  noGrad(() => {
    const with_ = tinyMae({ target: predictPixels({ normalize: options.normalize ?? true }) })
    return item(
      totalOf(
        with_.loss(
          weights,
          { image: viewOf(images) },
          with_.plan({ seed: options.seed ?? 1, samples: batch }),
        ),
      ),
    )
  })

maskConformance('mae', { tokens: N, kept: 6, plan: (seed, samples) => objective.plan({ seed, samples }) })

/** Pixels of each patch, normalised or not, in double precision. */
function targets(patches: readonly number[], normalize: boolean): number[] {
  return Array.from({ length: patches.length / 12 }, (_, n) => {
    const one = patches.slice(n * 12, (n + 1) * 12)
    if (!normalize) return one
    const mean = one.reduce((a, b) => a + b, 0) / 12
    const variance = one.reduce((a, b) => a + (b - mean) ** 2, 0) / 11
    return one.map((v) => (v - mean) / Math.sqrt(variance + 1e-6))
  }).flat()
}

describe('loss', () => {
  it.each([true, false])(
    'is the mean over hidden patches of their mean squared error; normalised: %s',
    (normalize) =>
      noGrad(() =>
        scope(() => {
          const images = tinyImages(B)
          const plan = objective.plan({ seed: 1, samples: batch })
          const predicted = numbers(objective.predict(weights, viewOf(images), plan).prediction)
          const wanted = targets(numbers(patchify(images, 2)), normalize)
          const perPatch = Array.from({ length: B * N }, (_, n) =>
            predicted
              .slice(n * 12, (n + 1) * 12)
              .reduce((sum, v, i) => sum + (v - wanted[n * 12 + i]!) ** 2 / 12, 0),
          )
          const mask = numbers(maskOf(plan))
          const sum = perPatch.reduce((total, error, n) => total + error * mask[n]!, 0)
          expect(mask.reduce((a, b) => a + b, 0)).toBe(B * 9)
          expect(lossOf(images, { normalize })).toBeCloseTo(sum / (B * 9), 5)
        }),
      ),
  )

  it.each([tiny, { ...tiny, channels: 1 }])(
    'of predicting the mean is (n − 1)/n under normalised targets, n = P·P·C: %o',
    (dimensions) =>
      noGrad(() =>
        scope(() => {
          const one = tinyMae({ dimensions })
          const [C, n] = [dimensions.channels, 4 * dimensions.channels]
          const silent = new Map(stirredParameters(one))
          for (const name of ['decoder_pred.weight', 'decoder_pred.bias'])
            silent.set(
              name,
              tensor(Array(name.endsWith('bias') ? n : n * 16).fill(0), silent.get(name)!.shape),
            )
          const images = tensor(wave(B * C * 60), [B, C, 6, 10])
          const plan = one.plan({ seed: 1, samples: batch })
          // Σ of a patch's squared target is (n − 1) · variance / (variance + ε).
          const patches = numbers(patchify(images, 2))
          const mask = numbers(maskOf(plan))
          let expected = 0
          for (let p = 0; p < B * N; p++) {
            const values = patches.slice(p * n, (p + 1) * n)
            const mean = values.reduce((a, b) => a + b, 0) / n
            const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / (n - 1)
            expected += (mask[p]! * ((n - 1) / n) * variance) / (variance + 1e-6) / (B * 9)
          }
          expect(expected).toBeCloseTo((n - 1) / n, 4)
          expect(item(totalOf(one.loss(weightsOf(silent), { image: viewOf(images) }, plan)))).toBeCloseTo(
            expected,
            6,
          )
        }),
      ),
  )

  it('of a perfect raw prediction is 0: constant images, bias alone', () =>
    noGrad(() =>
      scope(() => {
        const raw = tinyMae({ target: predictPixels({ normalize: false }) })
        const exact = new Map(parameters)
        exact.set('decoder_pred.weight', tensor(Array(12 * 16).fill(0), [12, 16]))
        exact.set('decoder_pred.bias', tensor(Array(12).fill(0.25), [12]))
        const images = tensor(Array(B * 180).fill(0.25), [B, 3, 6, 10])
        expect(
          item(
            totalOf(
              raw.loss(weightsOf(exact), { image: viewOf(images) }, raw.plan({ seed: 1, samples: batch })),
            ),
          ),
        ).toBe(0)
      }),
    ))

  // Without the patch embedding the encoder cannot see pixels, so that only the target is left to depend on them.
  it.each([true, false])('does not depend on visible pixels as a target; normalised: %s', (normalize) =>
    noGrad(() =>
      scope(() => {
        const blind = new Map(parameters)
        blind.set('patch_embed.proj.weight', tensor(Array(24 * 12).fill(0), [24, 3, 2, 2]))
        const one = tinyMae({ target: predictPixels({ normalize }) })
        const plan = planFromMask([Array.from({ length: N }, (_, n) => n !== 4)])
        const at = (x: number, y: number) => {
          const values = wave(180)
          for (let c = 0; c < 3; c++) values[(c * 6 + y) * 10 + x]! += 5
          return item(
            totalOf(one.loss(weightsOf(blind), { image: viewOf(tensor(values, [1, 3, 6, 10])) }, plan)),
          )
        }
        // Patch 4 is the last of the first row: columns 8 and 9, rows 0 and 1.
        const without = item(totalOf(one.loss(weightsOf(blind), { image: viewOf(tinyImages(1)) }, plan)))
        for (const [x, y] of [
          [8, 0],
          [9, 0],
          [8, 1],
          [9, 1],
        ] as const)
          expect(at(x, y)).toBe(without)
        for (const [x, y] of [
          [7, 0],
          [8, 2],
          [0, 0],
          [9, 5],
        ] as const)
          expect(at(x, y)).not.toBe(without)
      }),
    ),
  )

  it('reaches every parameter', () =>
    scope(() => {
      clearGradients(parameters.values())
      backward(
        totalOf(
          objective.loss(
            weights,
            { image: viewOf(tinyImages(B)) },
            objective.plan({ seed: 1, samples: batch }),
          ),
        ),
      )
      for (const [name, x] of parameters) {
        const found = gradient(x)
        expect(found && Math.max(...numbers(found).map(Math.abs)), name).toBeGreaterThan(0)
      }
      clearGradients(parameters.values())
    }))

  it('is the mean over the images of the batch', () =>
    noGrad(() =>
      scope(() => {
        const values = wave(2 * 180)
        const one = (b: number) => {
          const { epochs, indices } = batch
          const plan = objective.plan({ seed: 1, samples: addresses([epochs[b]!, indices[b]!]) })
          return item(
            totalOf(
              objective.loss(
                weights,
                { image: viewOf(tensor(values.slice(b * 180, (b + 1) * 180), [1, 3, 6, 10])) },
                plan,
              ),
            ),
          )
        }
        expect(lossOf(tensor(values, [2, 3, 6, 10]))).toBeCloseTo((one(0) + one(1)) / 2, 5)
      }),
    ))
})

describe('predict', () => {
  it('gives latent and prediction of one and the same pass', () =>
    noGrad(() =>
      scope(() => {
        const { latent, prediction } = objective.predict(
          weights,
          viewOf(tinyImages(B)),
          objective.plan({ seed: 1, samples: batch }),
        )
        expect([latent.shape, prediction.shape]).toEqual([
          [B, 1 + 6, 24],
          [B, N, 12],
        ])
      }),
    ))
})

describe('planFromNoise', () => {
  it('takes a caller’s own noise', () =>
    scope(() => {
      const plan = objective.planFromNoise(
        tensor(
          Array.from({ length: N }, (_, n) => N - n),
          [1, N],
        ),
      )
      expectClose(plan.kept, [14, 13, 12, 11, 10, 9], 0)
    }))
})

describe('mae', () => {
  it('refuses images of another size, dimensions that do not fit and ratios that leave nothing', () =>
    scope(() => {
      expect(() => lossOf(tensor(wave(180), [1, 3, 10, 6]))).toThrow(
        'images: expected [B, 1, 3, 6, 10], got float32[1, 1, 3, 10, 6]',
      )
      expect(() => tinyMae({ dimensions: { ...tiny, heads: 7 } })).toThrow('model.width 24 is not divisible')
      expect(() => tinyMae({ maskRatio: 0.95 })).toThrow('mask.ratio 0.95 of 15 patches keeps 0')
    }))
})
