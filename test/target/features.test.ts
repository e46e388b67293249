// The features of a frozen encoder as a target: losses, layers and norms by hand, with a teacher made up here; then a run with a real one.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openRun } from '../../src/checkpoint/run-folder.ts'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { alone } from '../../src/collective/collective.ts'
import { layoutOf, plainBackbone } from '../../src/model/backbone-shape.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { mae } from '../../src/objective/mae.ts'
import { expectMasked } from '../../src/objective/masked.ts'
import type { At } from '../../src/objective/objective.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { type FeatureOptions, predictFeatures } from '../../src/target/features.ts'
import type { FeatureModel } from '../../src/target/frozen-model.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, tensor } from '../../src/tensor/tensor.ts'
import { maskOf } from '../../src/token/mask.ts'
import { loadModel } from '../../src/weights/load-model.ts'
import { stirredParameters, tiny, tinyDecoder, tinyImages } from '../model/tiny-model.ts'
import { run, sampleFolder, tinyConfig, workFolder } from '../run/tiny.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'

const W = 4
const N = 15
/** Block b says the numbers of wave b. */
const outputs = (block: number) => wave(2 * N * W, block)
const teacher: FeatureModel = {
  ...{
    hash: 'of none',
    width: W,
    depth: 3,
    imageSize: tiny.imageSize,
    layout: layoutOf(plainBackbone(tiny)),
  },
  features: (_, blocks) => (blocks ?? [2]).map((block) => tensor(outputs(block), [2, N, W])),
}
const usual: FeatureOptions = {
  ...{ width: W, layers: null, layerNorm: false, norm: false, resample: false },
  ...{ loss: 'mse', beta: 1 },
}

/** The loss of a model and the numbers that it said, of hidden tokens, with what they should be. */
function learned(options: Partial<FeatureOptions>, model = teacher) {
  return noGrad(() =>
    scope(() => {
      const target = predictFeatures(() => model, { ...usual, ...options })
      const objective = mae({ dimensions: tiny, decoder: tinyDecoder, maskRatio: 0.6, target, device: 'cpu' })
      const weights = weightsOf(stirredParameters(objective))
      const image = viewOf(tinyImages(2))
      const plan = objective.plan({ seed: 1, samples: { epochs: [0, 0], indices: [0, 1] } })
      const said = numbers(objective.predict(weights, image, plan).prediction)
      const loss = item(objective.loss(weights, { image }, plan).parts.features!.mean)
      return { loss, said, hidden: numbers(maskOf(plan)) }
    }),
  )
}

const vectors = (values: readonly number[]) =>
  Array.from({ length: values.length / W }, (_, n) => values.slice(n * W, (n + 1) * W))
const mean = (x: readonly number[]) => x.reduce((a, b) => a + b, 0) / x.length
const normed = (x: readonly number[]) => {
  const deviation = Math.sqrt(mean(x.map((v) => (v - mean(x)) ** 2)) + 1e-5)
  return x.map((v) => (v - mean(x)) / deviation)
}
const averaged = (blocks: readonly number[], norm: (x: readonly number[]) => readonly number[] = (x) => x) =>
  vectors(outputs(0)).map((_, n) => {
    const each = blocks.map((block) => norm(vectors(outputs(block))[n]!))
    return each[0]!.map((_, i) => mean(each.map((x) => x[i]!)))
  })
const errors = {
  mse: (a: readonly number[], b: readonly number[]) => mean(a.map((x, i) => (x - b[i]!) ** 2)),
  /** With beta 0.3. */
  'smooth-l1': (a: readonly number[], b: readonly number[]) =>
    mean(
      a.map((x, i) => {
        const d = Math.abs(x - b[i]!)
        return d < 0.3 ? (0.5 * d * d) / 0.3 : d - 0.15
      }),
    ),
  cosine: (a: readonly number[], b: readonly number[]) => {
    const dot = (x: readonly number[], y: readonly number[]) => x.reduce((sum, v, i) => sum + v * y[i]!, 0)
    return 1 - dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
  },
}

describe('the loss is the mean over hidden tokens of', () => {
  it.each([
    ['mse', {}, averaged([2])],
    ['smooth-l1', { beta: 0.3 }, averaged([2])],
    ['cosine', {}, averaged([2])],
    ['mse', { layers: [0, 2] }, averaged([0, 2])],
    ['mse', { layers: [0, 2], layerNorm: true }, averaged([0, 2], normed)],
    ['mse', { layers: [0, 1], layerNorm: true, norm: true }, averaged([0, 1], normed).map(normed)],
  ] as const)('%s, %j', (loss, options, wanted) => {
    const { loss: made, said, hidden } = learned({ loss, ...options })
    const each = vectors(said).flatMap((x, n) => (hidden[n] === 1 ? [errors[loss](x, wanted[n]!)] : []))
    expectClose([made], [mean(each)], 1e-5)
  })

  it('standardised features, by mean and deviation of all micro-batches of the first step', () => {
    scope(() => {
      const target = predictFeatures(() => teacher, { ...usual, standardize: true })
      const objective = mae({ dimensions: tiny, decoder: tinyDecoder, maskRatio: 0.6, target, device: 'cpu' })
      const weights = weightsOf(stirredParameters(objective))
      const image = viewOf(tinyImages(2))
      const plan = objective.plan({ seed: 1, samples: { epochs: [0, 0], indices: [0, 1] } })
      const other = (by: number): FeatureModel => ({
        ...teacher,
        features: () => [
          tensor(
            outputs(2).map((x) => x + by),
            [2, N, W],
          ),
        ],
      })
      const at = { collective: alone } as At
      const first = (open: () => FeatureModel, batches: number) => {
        const { rows, first } = mae({
          ...{ dimensions: tiny, decoder: tinyDecoder, maskRatio: 0.6, device: 'cpu' },
          target: predictFeatures(open, { ...usual, standardize: true }),
        })
        expect(rows.filter(({ role }) => role === 'state').map(({ name }) => name)).toEqual(names)
        return first!(
          weights,
          Array.from({ length: batches }, () => ({ batch: { image }, plan })),
          at,
        )
      }
      const names = ['target.mean', 'target.deviation']
      const columns = Array.from({ length: W }, (_, i) => vectors(outputs(2)).map((x) => x[i]!))
      const deviations = columns.map((x) => Math.sqrt(mean(x.map((v) => (v - mean(x)) ** 2))))
      const one = first(() => teacher, 1)
      expectClose(numbers(one['target.mean']!), columns.map(mean), 1e-5)
      expectClose(numbers(one['target.deviation']!), deviations, 1e-5)

      // Two micro-batches 2 apart: the mean lies between them, and the variance is larger by 1.
      let call = 0
      const two = first(
        () => ({ ...teacher, features: (...given) => other(2 * call++).features(...given) }),
        2,
      )
      expectClose(
        numbers(two['target.mean']!),
        columns.map((x) => mean(x) + 1),
        1e-5,
      )
      expectClose(
        numbers(two['target.deviation']!),
        deviations.map((d) => Math.sqrt(d ** 2 + 1)),
        1e-5,
      )

      const known = (name: string) => one[name] ?? weights(name)
      const said = vectors(numbers(objective.predict(known, image, plan).prediction))
      const hidden = numbers(maskOf(plan))
      const each = vectors(outputs(2)).map((x, n) =>
        mean(x.map((v, i) => (said[n]![i]! - (v - mean(columns[i]!)) / deviations[i]!) ** 2)),
      )
      expectClose(
        [item(objective.loss(known, { image }, plan).parts.features!.mean)],
        [mean(each.filter((_, n) => hidden[n] === 1))],
        1e-5,
      )
    })
  })

  it.each([
    [
      { depth: 3, layout: { ...teacher.layout, grid: { h: 4, w: 5 } } },
      {},
      /the teacher has 4 × 5 patches.*: set target\.resample=true/,
    ],
    [{ imageSize: [12, 20] as const }, {}, /takes images of 12 × 20 pixels.*: set target\.resample=true/],
    [{ layout: { ...teacher.layout, frames: 2 } }, { resample: true }, /for one frame and one group/],
    [{ width: 5 }, {}, /its tokens have 5 numbers, and target.width is 4/],
    [{}, { layers: [1, 3] }, /it has blocks 0 to 2, and target.layers has 3/],
  ])('a teacher that fits: %j, %j', (model, options, message) =>
    expect(() => learned(options, { ...teacher, ...model })).toThrow(message),
  )
})

describe('a teacher of another size and grid', () => {
  const large: FeatureModel = {
    ...{ ...teacher, imageSize: [12, 20], layout: { ...teacher.layout, grid: { h: 6, w: 10 } } },
    // The number of each patch, and how large the image is that it gets.
    features: ({ pixels: { shape } }) => [
      tensor(
        Array.from({ length: 2 * 60 }, (_, i) => [
          i % 60,
          Math.floor((i % 60) / 10),
          shape[3]!,
          shape[4]!,
        ]).flat(),
        [2, 60, W],
      ),
    ],
  }

  it('gets images of its size, and its features are brought to the grid of the model', () => {
    const wanted: number[][] = []
    const at = (row: number, column: number) => {
      // Of a ramp, shrunk to half with antialiasing: in the middle the mean, at the edges of (0, 1, 2) by 3 : 3 : 1.
      const along = (i: number, last: number) =>
        i === 0 ? (0.75 + 0.5) / 1.75 : i === last ? 2 * last + 1 - (0.75 + 0.5) / 1.75 : 2 * i + 0.5
      const [r, c] = [along(row, 2), along(column, 4)]
      return [10 * r + c, r, 12, 20]
    }
    for (let sample = 0; sample < 2; sample++)
      for (let n = 0; n < N; n++) wanted.push(at(Math.floor(n / 5), n % 5))
    const { loss: made, said, hidden } = learned({ resample: true }, large)
    const each = vectors(said).flatMap((x, n) => (hidden[n] === 1 ? [errors.mse(x, wanted[n]!)] : []))
    expectClose([made / mean(each)], [1], 1e-5)
  })
})

describe('a run', () => {
  it('learns from a teacher that it neither moves nor saves, and resumes with the same one alone', async () => {
    const data = await sampleFolder()
    const [first, second, out] = ['first', 'second', 'run'].map((name) => join('', name))
    const dir = await workFolder()
    const config = tinyConfig({ model: { depth: 2 }, train: { steps: 1 } })
    await run({ config, data, out: join(dir, first!) })
    await run({
      config: tinyConfig({ model: { depth: 2 }, train: { steps: 1, seed: 1 } }),
      data,
      out: join(dir, second!),
    })
    const taught = (steps: number, model = first!) =>
      tinyConfig({
        target: { kind: 'features', model: join(dir, model), layers: [0, 1], loss: 'cosine' },
        ...{ train: { steps }, log: { pictureEverySteps: 2 } },
      })
    await run({ config: taught(2), data, out: join(dir, out!) })
    const made = openRun(join(dir, out!))
    const weights = join(made.latest!.path, 'model.safetensors')
    expect(made.config).toMatchObject({ target: { kind: 'features', width: 32 } })
    expect(made.facts.frozen?.['target.model']).toMatch(/^[0-9a-f]{64}$/)
    const { tensors } = readSafetensors(weights)
    expect(tensors.get('decoder_pred.weight')!.shape).toEqual([32, 16])
    expect([...tensors.keys()].filter((name) => /teacher|target/.test(name))).toEqual([])
    expect(existsSync(join(dir, out!, 'samples/step-00000002.png'))).toBe(true)

    const before = readFileSync(weights)
    await expect(
      run({ config: taught(4, second), data, out: join(dir, out!), resume: true }),
    ).rejects.toThrow(/target\.model has other weights/)
    expect(readFileSync(weights)).toEqual(before)
    const events = await run({ config: taught(4), data, out: join(dir, out!), resume: true })
    expect(events.at(-1)).toMatchObject({ kind: 'end', reason: 'completed', step: 4 })
    const { objective } = await loadModel(join(dir, out!), 'cpu')
    expect(expectMasked(objective, { name: 'mae', what: 'A test' }).target.widths).toEqual({
      decoder_pred: 32,
    })
  })
})
