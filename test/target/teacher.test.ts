// An EMA teacher's features as the target: what has a copy, what its loss is in each setting, and when it has collapsed.
import { describe, expect, it } from 'vitest'
import { openBackbone } from '../../src/model/backbone.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import { type Parameters, weightsOf } from '../../src/model/parameters.ts'
import { allRows } from '../../src/objective/averages.ts'
import { mae } from '../../src/objective/mae.ts'
import { maskTokens } from '../../src/objective/mask-tokens.ts'
import { valueAt } from '../../src/optim/schedule.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { deviationOfSamples, deviationOver, lossOfMean } from '../../src/target/collapse.ts'
import { predictTeacher, type TeacherOptions, teacherFeatures } from '../../src/target/teacher.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { abs, meanOver, mul, sub } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, tensor } from '../../src/tensor/tensor.ts'
import { maskOf } from '../../src/token/mask.ts'
import { stirredParameters, tiny, tinyDecoder, tinyImages } from '../model/tiny-model.ts'
import { expectClose, numbers } from '../tolerance.ts'

const [B, N, D] = [3, 15, 24]
const usual: TeacherOptions = {
  ...{ layers: [1], layerNorm: true, norm: true, beta: 2, scale: 'mean', head: true, scope: 'model' },
  momentum: { from: 0.9, to: 1, over: null },
}
const objectiveOf = (options: Partial<TeacherOptions> = {}) =>
  maskTokens({
    ...{ dimensions: tiny, maskRatio: 0.6, device: 'cpu' },
    target: predictTeacher({ ...usual, ...options }),
  })

/** Predictions and targets of every token, and the loss, with weights that are all different. */
function learned(options: Partial<TeacherOptions> = {}) {
  return noGrad(() =>
    scope(() => {
      const objective = objectiveOf(options)
      const weights = weightsOf(stirredParameters({ rows: allRows(objective) }))
      const image = viewOf(tinyImages(B))
      const plan = objective.plan({ seed: 1, samples: { epochs: [0, 0, 0], indices: [0, 1, 2] } })
      const { prediction, latent } = objective.predict(weights, image, plan)
      const teacher = teacherFeatures(openBackbone(plainBackbone(tiny), 'cpu'), { ...usual, ...options })
      const { parts, metrics } = objective.loss(weights, { image }, plan)
      return {
        ...{
          rows: objective.rows.map(({ name }) => name),
          said: numbers(prediction),
          latent: numbers(latent),
        },
        ...{ wanted: numbers(teacher(image, weights)), hidden: numbers(maskOf(plan)) },
        loss: item(parts.features!.mean),
        metrics: Object.fromEntries(Object.entries(metrics!).map(([name, x]) => [name, item(x)])),
      }
    }),
  )
}

const mean = (x: readonly number[]) => x.reduce((a, b) => a + b, 0) / x.length
/** Over the numbers of hidden tokens. */
const meanError = ({ said, wanted, hidden }: ReturnType<typeof learned>, error: (d: number) => number) =>
  mean(said.flatMap((x, i) => (hidden[Math.floor(i / D)] === 1 ? [error(Math.abs(x - wanted[i]!))] : [])))

describe('the loss is', () => {
  it.each([
    ['smooth L1', { beta: 0.5 }, (d: number) => (d < 0.5 ? d * d : d - 0.25)],
    ['squares where beta is 0', { beta: 0 }, (d: number) => d * d],
    [
      '√D as large with the root of the width',
      { scale: 'root-width', beta: 0 },
      (d: number) => d * d * Math.sqrt(D),
    ],
  ] as const)('%s', (_, options, error) => {
    const made = learned(options)
    expectClose([made.loss], [meanError(made, error)], 1e-5)
  })
})

it('without a head the final norm predicts', () => {
  const made = learned({ head: false })
  expect(made.rows.filter((name) => name.startsWith('decoder_pred'))).toEqual([])
  const patches = made.latent.filter((_, i) => Math.floor(i / D) % (1 + N) > 0) // without cls
  expect(made.said).toEqual(patches)
  expectClose([made.loss], [meanError(made, (d) => (d < 2 ? (d * d) / 4 : d - 1))], 1e-5)
})

describe('the copy', () => {
  const followed = (options: Partial<TeacherOptions>) => {
    const objective = objectiveOf(options)
    const own = new Set(objective.rows.map(({ name }) => name))
    return allRows(objective).flatMap(({ name }) => (own.has(name) ? [] : [name]))
  }

  it('is of every parameter, or of blocks and final norm', () => {
    const all = objectiveOf().rows.map(({ name }) => `teacher.${name}`)
    expect(followed({})).toEqual(all)
    const encoder = all.filter((name) => /^teacher\.(blocks|norm)\./.test(name))
    expect(followed({ scope: 'encoder' })).toEqual(encoder)
  })

  it('sees the embeddings of its student where it has none', () =>
    noGrad(() =>
      scope(() => {
        const wantedOf = (scopeName: TeacherOptions['scope'], stirred: string) => {
          const objective = objectiveOf({ scope: scopeName })
          const parameters: Parameters = stirredParameters({ rows: allRows(objective) })
          const changed = new Map(parameters).set(stirred, mul(parameters.get(stirred)!, 2))
          const features = teacherFeatures(openBackbone(plainBackbone(tiny), 'cpu'), {
            ...usual,
            scope: scopeName,
          })
          const image = viewOf(tinyImages(B))
          return [parameters, changed].map((each) => numbers(features(image, weightsOf(each))))
        }
        const embed = 'patch_embed.proj.weight'
        const [whole, wholeChanged] = wantedOf('model', embed)
        expect(wholeChanged).toEqual(whole)
        const [encoder, encoderChanged] = wantedOf('encoder', embed)
        expect(encoderChanged).not.toEqual(encoder)
        const [own, ownChanged] = wantedOf('encoder', 'blocks.0.attn.qkv.weight')
        expect(ownChanged).toEqual(own)
      }),
    ))

  it('moves by its momentum, which is a schedule over the whole run', () => {
    const at = (step: number) => ({ step, epoch: 0, stepsPerEpoch: 1, totalSteps: 40 })
    const { schedules, averages } = objectiveOf()
    expect(averages).toEqual([{ prefix: 'teacher.', from: '', momentum: 'momentum', when: 'after-step' }])
    expect([0, 10, 40].map((step) => valueAt(schedules!.momentum!, at(step)))).toEqual([0.9, 0.925, 1])
  })
})

it('refuses blocks that are not there, and a decoder of another width without a head', () => {
  expect(() => objectiveOf({ layers: [2] })).toThrow(/target.layers has 2, and the model has blocks 0 to 1/)
  const target = predictTeacher({ ...usual, head: false })
  expect(() =>
    mae({ dimensions: tiny, decoder: tinyDecoder, maskRatio: 0.6, target, device: 'cpu' }),
  ).toThrow(/a decoder gives tokens of 16 numbers for targets of 24/)
})

describe('collapse', () => {
  it('shows in the deviation over samples at each place, not in that over places', () =>
    scope(() => {
      // Two samples of two tokens with two numbers: places differ, samples do not.
      const same = tensor([0, 4, 8, 2, 0, 4, 8, 2], [2, 2, 2])
      expect(item(deviationOfSamples(same))).toBe(0)
      const other = tensor([0, 4, 8, 2, 2, 4, 8, 8], [2, 2, 2]) // deviations 1, 0, 0, 3
      expect(item(deviationOfSamples(other))).toBe(1)
      expect(item(deviationOfSamples(tensor([0, 4, 8, 2], [1, 2, 2])))).toBe(2.5) // of one sample: 4 and 1
      expect(item(deviationOver(tensor([0, 4, 8, 2], [2, 2]), 0))).toBe(2.5)
    }))

  it('is measured beside the loss of predicting the mean', () => {
    const { metrics, said, wanted, hidden } = learned({ beta: 0 })
    const ofHidden = (x: readonly number[]) => x.filter((_, i) => hidden[Math.floor(i / D)] === 1)
    const column = (x: readonly number[], c: number) => x.filter((_, i) => i % D === c)
    const variance = (x: readonly number[]) => mean(x.map((v) => (v - mean(x)) ** 2))
    const columns = (x: readonly number[]) =>
      Array.from({ length: D }, (_, c) => variance(column(ofHidden(x), c)))
    expectClose([metrics.predictionDeviation!], [mean(columns(said).map(Math.sqrt))], 1e-5)
    expectClose([metrics.lossOfMean!], [mean(columns(wanted))], 1e-5)
    const places = Array.from({ length: N * D }, (_, i) =>
      variance([0, 1, 2].map((b) => wanted[b * N * D + i]!)),
    )
    expectClose([metrics.targetDeviation!], [mean(places.map(Math.sqrt))], 1e-5)
    const absolute = (a: ReturnType<typeof tensor>, b: ReturnType<typeof tensor>) =>
      meanOver(abs(sub(a, b)), [1])
    expect(scope(() => item(lossOfMean(tensor([1, 0, 3, 4], [2, 2]), absolute)))).toBe(1.5) // means 2 and 2
  })
})
