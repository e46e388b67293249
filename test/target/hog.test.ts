// The target of MaskFeat: that of its reference file, and the loss by hand.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { mae } from '../../src/objective/mae.ts'
import { packageRoot } from '../../src/package-root.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { gradientHistograms } from '../../src/target/gradient-histograms.ts'
import { predictHog } from '../../src/target/hog.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item } from '../../src/tensor/tensor.ts'
import { maskOf } from '../../src/token/mask.ts'
import { stirredParameters, tiny, tinyDecoder, tinyImages } from '../model/tiny-model.ts'
import { series, seriesValues, viewsOfValues } from '../model/tiny-series.ts'
import { expectClose, numbers } from '../tolerance.ts'

const options = { cellSize: 1, bins: 5, gaussianWindow: 0 }
const usual = { decoder: tinyDecoder, maskRatio: 0.6, target: predictHog(options), device: 'cpu' } as const
const samples = { epochs: [0, 0], indices: [0, 1] }
const quiet = <R>(body: () => R): R => noGrad(() => scope(body))

it('the loss is the mean squared error of hidden patches and the numbers of their descriptors', () =>
  quiet(() => {
    const objective = mae({ dimensions: tiny, ...usual })
    const weights = weightsOf(stirredParameters(objective))
    const [images, plan] = [tinyImages(2), objective.plan({ seed: 1, samples })]
    const wanted = numbers(gradientHistograms(images, { ...options, patchSize: [2, 2] }))
    const said = numbers(objective.predict(weights, viewOf(images), plan).prediction)
    const width = 3 * 5 * 4
    expect(said.length).toBe(2 * 15 * width)
    const hidden = numbers(maskOf(plan))
    const errors = said.flatMap((x, i) =>
      hidden[Math.floor(i / width)] === 1 ? [(x - wanted[i]!) ** 2] : [],
    )
    const { hog } = objective.loss(weights, { image: viewOf(images) }, plan).parts
    expectClose([item(hog!.mean)], [errors.reduce((a, b) => a + b, 0) / errors.length], 1e-5)
  }))

it('of groups of bands and dates, each head has the bands of its group', () =>
  quiet(() => {
    const objective = mae({ ...usual, ...series })
    const view = viewsOfValues(2, seriesValues(2))
    const plan = objective.plan({ seed: 1, samples }, { image: view })
    const weights = weightsOf(stirredParameters(objective))
    const bias = objective.rows.filter(({ name }) => /^decoder_pred\.\d\.bias/.test(name))
    expect(bias.map(({ shape }) => shape)).toEqual([[2 * 5 * 4], [5 * 4]])
    expect(item(objective.loss(weights, { image: view }, plan).parts.hog!.mean)).toBeGreaterThan(0)
  }))

it.each([
  [[16, 16], 8, 108], // MaskFeat: 2 × 2 cells of 9 directions and 3 channels
  [[4, 4], 2, 108],
  [[14, 14], 7, 108],
  [[16, 12], 2, 8 * 6 * 27], // half of the 4 that divides both
  [[6, 3], 3, 2 * 27], // 3 cannot be halved
] as const)(
  'cells of patches of %j are %i pixels wide where none are asked for',
  (patchSize, cellSize, width) => {
    const made = (given: number | null) =>
      predictHog({ cellSize: given, bins: 9, gaussianWindow: 0 })({
        shape: { dimensions: { patchSize } },
        groups: [{ head: 'decoder_pred', bands: [0, 1, 2] }],
      } as never).widths
    expect(made(null)).toEqual({ decoder_pred: width })
    expect(made(cellSize)).toEqual({ decoder_pred: width })
  },
)

it.each([
  [{ target: { kind: 'hog', cellSize: 5 } }, 'Cells of 5 pixels do not fill patches of 16 × 16'],
  [{ target: { kind: 'hog', normalize: true } }, 'target.normalize is read only with target.kind=pixels'],
  [{ target: { kind: 'hug' } }, 'Did you mean "hog"'],
  [
    { data: { bands: ['B2', 'B3'], minValid: 0.5 }, target: { kind: 'hog' } },
    'target.kind hog needs samples without gaps',
  ],
] as const)('refuses %j', (input, message) => expect(() => resolveConfig(input as never)).toThrow(message))

const file = join(packageRoot(), '../shared/reference/targets/maskfeat-vit.safetensors')

describe.skipIf(!existsSync(file))('maskfeat-vit.safetensors (skipped where ../shared is not)', () => {
  it('the target of every patch', () =>
    quiet(() => {
      const { tensors } = readSafetensors(file)
      const made = gradientHistograms(tensors.get('input.images')!, {
        ...{ cellSize: 8, bins: 9, gaussianWindow: 0, patchSize: [16, 16] },
      })
      expectClose(made, tensors.get('expected.out.target')!, 1e-6)
    }))
})
