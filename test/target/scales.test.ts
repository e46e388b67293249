import { describe, expect, it } from 'vitest'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { bandGroups } from '../../src/model/stem/patch-embedding.ts'
import { upscale } from '../../src/model/upscale.ts'
import { totalOf } from '../../src/objective/losses.ts'
import { mae } from '../../src/objective/mae.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { predictPixels } from '../../src/target/pixel-target.ts'
import { atModelSize, checkScales, scalesLosses, upscaleShape } from '../../src/target/scales.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { add } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { stirredParameters, tiny, tinyDecoder } from '../model/tiny-model.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'

const quiet = <R>(body: () => R): R => noGrad(() => scope(body))
const target = { scales: [2, 4], width: 3 }
const ofScales = predictPixels({ normalize: false, scales: target })
const dimensions = { ...tiny, imageSize: [4, 6] as const, channels: 4 }
const given = [[3, 0], [1]] // band 2 is in no group
const groups = bandGroups(given, 4)
const shape = { ...plainBackbone(dimensions), groups: given, groupWidth: 4, decoder: tinyDecoder }

/** The mean of square blocks of side `factor` of pictures [planes, H, W]. */
function areaMeans(values: readonly number[], [h, w]: readonly [number, number], factor: number): number[] {
  const [rows, columns] = [h / factor, w / factor]
  return Array.from({ length: values.length / factor ** 2 }, (_, i) => {
    const [plane, y, x] = [Math.floor(i / (rows * columns)), Math.floor(i / columns) % rows, i % columns]
    let sum = 0
    for (let dy = 0; dy < factor; dy++)
      for (let dx = 0; dx < factor; dx++) sum += values[(plane * h + y * factor + dy) * w + x * factor + dx]!
    return sum / factor ** 2
  })
}

describe('atModelSize', () => {
  it('gives the model area means: by hand', () =>
    quiet(() => {
      const images = tensor([...[1, 3, 0, 4], ...[5, 7, 8, 0]], [1, 1, 2, 4])
      const views = atModelSize(viewOf(images), { scales: [2], width: 1 }, [1, 2])
      expect(views.pixels.shape).toEqual([1, 1, 1, 1, 2])
      expect(numbers(views.pixels)).toEqual([4, 3])
    }))

  it('leaves images of the model’s size, and refuses others and gaps', () =>
    quiet(() => {
      const images = tensor(wave(2 * 4 * 24), [2, 4, 4, 6])
      expect(numbers(atModelSize(viewOf(images), target, [4, 6]).pixels)).toEqual(numbers(images))
      expect(() => atModelSize(viewOf(images), target, [2, 3])).toThrow(
        'target.scales: expected images of 2 or 8 rows, got 4',
      )
      const views = {
        ...{ pixels: tensor(wave(16 * 24), [1, 1, 1, 16, 24]), times: null, resolution: null },
        valid: tensor(Array(16 * 24).fill(1), [1, 1, 16, 24]),
      }
      expect(() => atModelSize(views, target, [4, 6])).toThrow(/pixels without data cannot be shrunk/)
    }))
})

describe('scalesLosses', () => {
  const pixels = wave(2 * 4 * 16 * 24, 5)
  const images = () => tensor(pixels, [2, 4, 16, 24])
  const parts = () => [tensor(wave(2 * 6 * 8, 1), [2, 6, 8]), tensor(wave(2 * 6 * 4, 2), [2, 6, 4])]
  const { rows } = mae({ ...shape, maskRatio: 0.6, target: ofScales, device: 'cpu' })
  const parameters = stirredParameters({ rows })

  it('by hand, where the head says one number for each band: half of the mean distances from area means', () =>
    quiet(() => {
      const silent = new Map(parameters)
      const said = [
        [0.1, -0.2, 0.3], // bands 0, 1, 3: those of some group, ascending
        [-0.4, 0.5, 0],
      ]
      for (const [i, bias] of said.entries()) {
        silent.set(`upscale.blocks.${i}.pred.weight`, tensor(Array(9).fill(0), [3, 3, 1, 1]))
        silent.set(`upscale.blocks.${i}.pred.bias`, tensor(bias, [3]))
      }
      let expected = 0
      for (const [i, bias] of said.entries()) {
        const factor = i === 0 ? 2 : 1
        const means = areaMeans(pixels, [16, 24], factor)
        const area = (16 * 24) / factor ** 2
        const distances = means.flatMap((value, j) => {
          const place = [0, 1, 3].indexOf(Math.floor(j / area) % 4)
          return place < 0 ? [] : [Math.abs(value - bias[place]!)]
        })
        expected += (0.5 * distances.reduce((a, b) => a + b, 0)) / distances.length
      }
      const made = scalesLosses(parts(), viewOf(images()), target, {
        shape,
        groups,
        weights: weightsOf(silent),
      })
      expectClose([item(totalOf({ parts: made }))], [expected], 1e-5)
    }))

  it('enlarges the picture that the heads say together', () =>
    quiet(() => {
      const weights = weightsOf(parameters)
      // [B, 3, 4, 6] of bands 0, 1 and 3, put together pixel by pixel.
      const [first, second] = parts().map(numbers) as [number[], number[]]
      const picture = Array.from({ length: 2 * 3 * 24 }, (_, i) => {
        const [b, band, y, x] = [
          Math.floor(i / 72),
          [0, 1, 3][Math.floor(i / 24) % 3]!,
          Math.floor(i / 6) % 4,
          i % 6,
        ]
        const place = b * 6 + Math.floor(y / 2) * 3 + Math.floor(x / 2)
        const pixel = (y % 2) * 2 + (x % 2)
        return band === 1 ? second[place * 4 + pixel]! : first[place * 8 + pixel * 2 + (band === 3 ? 0 : 1)]!
      })
      const larger = upscale(tensor(picture, [2, 3, 4, 6]), weights, upscaleShape(target, groups))
      let expected = 0
      for (const [i, made] of larger.entries()) {
        const factor = i === 0 ? 2 : 1
        const area = (16 * 24) / factor ** 2
        const truth = areaMeans(pixels, [16, 24], factor).filter((_, j) => Math.floor(j / area) % 4 !== 2)
        const distances = numbers(made).map((value, j) => Math.abs(value - truth[j]!))
        expected += (0.5 * distances.reduce((a, b) => a + b, 0)) / distances.length
      }
      const made = scalesLosses(parts(), viewOf(images()), target, { shape, groups, weights })
      expect(Object.keys(made)).toEqual(['scale2', 'scale4'])
      expectClose(totalOf({ parts: made }), [expected], 1e-5)
    }))

  it('is what the loss of the objective has more than that of small images', () =>
    quiet(() => {
      const options = { ...shape, maskRatio: 0.6, device: 'cpu' } as const
      const [scaled, plain] = [
        mae({ ...options, target: ofScales }),
        mae({ ...options, target: predictPixels({ normalize: false }) }),
      ]
      const weights = weightsOf(parameters)
      const plan = scaled.plan({ seed: 1, samples: { epochs: [0, 0], indices: [0, 1] } })
      const small = tensor(areaMeans(pixels, [16, 24], 4), [2, 4, 4, 6])
      const latent = (x: Tensor) => numbers(x)
      const predicted = plain.predict(weights, viewOf(small), plan)
      expectClose(scaled.predict(weights, viewOf(images()), plan).latent, latent(predicted.latent), 1e-5)
      // The parts of the prediction, from the picture of all bands: pixel, band.
      const values = numbers(predicted.prediction)
      const of = (own: readonly number[]) =>
        tensor(Array.from({ length: 2 * 6 * 4 }, (_, i) => own.map((band) => values[i * 4 + band]!)).flat(), [
          2,
          6,
          4 * own.length,
        ])
      const parts = scalesLosses([of([3, 0]), of([1])], viewOf(images()), target, { shape, groups, weights })
      const more = totalOf({ parts })
      const expected = item(add(totalOf(plain.loss(weights, { image: viewOf(small) }, plan)), more))
      expectClose([item(totalOf(scaled.loss(weights, { image: viewOf(images()) }, plan)))], [expected], 1e-5)
    }))
})

it.each([
  [{ scales: [], width: 4 }],
  [{ scales: [4], width: 4 }],
  [{ scales: [2, 3], width: 4 }],
  [{ scales: [1, 2], width: 4 }],
  [{ scales: [2], width: 0 }],
])('checkScales refuses %j', (wrong) => {
  expect(() => checkScales(wrong)).toThrow(/target\.scales: expected \[2\], \[2, 4\] or/)
})

it('larger pictures are of as many bands as some group has', () => {
  expect(upscaleShape(target, groups)).toEqual({ bands: 3, width: 3, doublings: 2 })
})

it('refuses larger pictures of normalised targets', () => {
  expect(() => predictPixels({ normalize: true, scales: target })).toThrow(/set target.normalize to false/)
})
