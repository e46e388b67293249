/** Runs of an objective without masks and targets: they train, draw what it shows, and their encoder is a teacher's. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { openRun, runPaths } from '../../src/checkpoint/run-folder.ts'
import type { objectiveOf } from '../../src/config/assemble.ts'
import { backboneOf } from '../../src/config/resolve.ts'
import { openBackbone } from '../../src/model/backbone.ts'
import { layoutOf } from '../../src/model/backbone-shape.ts'
import { initialParameters, type Weights, within } from '../../src/model/parameters.ts'
import { allRows } from '../../src/objective/averages.ts'
import type { ImageObjective } from '../../src/objective/image-objective.ts'
import { onePart } from '../../src/objective/losses.ts'
import { expectMasked, isMasked } from '../../src/objective/masked.ts'
import type { ImageBatch } from '../../src/objective/objective.ts'
import { reconstructionGrid } from '../../src/picture/reconstruction-grid.ts'
import { imagenetStatistics } from '../../src/prepare/normalize.ts'
import { loadExhibit, reconstructExhibit } from '../../src/run/pictures.ts'
import { openImageFolder } from '../../src/source/image-folder.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { mean, square, sub } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { layoutTokens } from '../../src/token/layout.ts'
import { patchesOf } from '../../src/token/prefix.ts'
import type { Model } from '../../src/weights/load-model.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { run, sampleFolder, tinyConfig, workFolder } from './tiny.ts'

/** A student says what its average says of the whole image. */
const following: typeof objectiveOf = (config, device): ImageObjective => {
  const shape = backboneOf(config)
  const backbone = openBackbone(shape, device)
  const rows = backbone.rows.map((row) => ({ ...row, name: `student.${row.name}` }))
  const tokens = ({ image }: ImageBatch, weights: Weights, who: 'student' | 'teacher') =>
    patchesOf(backbone.encodeAll(image, within(weights, who)))
  return {
    rows,
    averages: [{ prefix: 'teacher.', from: 'student.', momentum: 0.5, when: 'after-step' }],
    encoder: { prefix: 'teacher.' },
    views: { image: { kind: 'crop', count: 1, size: shape.dimensions.imageSize } },
    tokens: layoutTokens(layoutOf(shape)),
    metrics: [{ name: 'features', kind: 'loss', unit: '' }],
    plan: () => null,
    loss: (weights, batch) =>
      scope(() => {
        const wanted = noGrad(() => tokens(batch, weights, 'teacher'))
        return onePart('features', mean(square(sub(sub(tokens(batch, weights, 'student'), wanted), 1))))
      }),
    show: (weights, batch) =>
      scope(() => ({
        ...{ hidden: null, predicted: null },
        shown: [
          {
            kind: 'features',
            wanted: tokens(batch, weights, 'teacher'),
            said: tokens(batch, weights, 'student'),
          },
        ],
      })),
  }
}
const unseen: typeof objectiveOf = (...given) => {
  const { show: _, ...rest } = following(...given)
  return rest
}

const config = tinyConfig({ train: { steps: 2, precision: 'fp32' }, log: { pictureEverySteps: 2 } })
let data = ''
beforeAll(async () => {
  data = await sampleFolder()
})

it('trains, draws, and its encoder is the teacher’s', async () => {
  const out = join(await workFolder(), 'run')
  const events = await run({ config, data, out, objectiveOf: following })
  expect(events.at(-1)).toMatchObject({ kind: 'end', reason: 'completed', step: 2 })
  expect(events.filter(({ kind }) => kind === 'warning')).toEqual([])
  expect(existsSync(join(runPaths(out).samples, 'step-00000002.png'))).toBe(true)
  expect(openRun(out).latest?.step).toBe(2)
  expect((await openEncoder({ model: out, device: 'cpu' })).parameters.size).toBe(
    openBackbone(backboneOf(config), 'cpu').rows.length,
  )
})

it('without anything to show it draws nothing, and says so where a picture is asked for', async () => {
  const out = join(await workFolder(), 'run')
  const events = await run({ config, data, out, objectiveOf: unseen })
  expect(events.at(-1)).toMatchObject({ kind: 'end', reason: 'completed', picture: null })
  expect(existsSync(join(runPaths(out).samples, 'step-00000002.png'))).toBe(false)
  const exhibit = await loadExhibit(config, await openImageFolder(data), 2)
  expect(() => reconstructExhibit(modelOf(unseen), exhibit, 0)).toThrow(
    'A model of objective mae has no pictures of its own: "sherd look" draws its features',
  )
})

const modelOf = (make: typeof objectiveOf): Model => {
  const objective = make(config, 'cpu')
  const parameters = initialParameters(allRows(objective), { seed: 0, device: 'cpu' })
  return { config, objective, parameters, statistics: imagenetStatistics, device: 'cpu' }
}

it('is shown without masks: the image, what is wanted and what is said', async () => {
  const exhibit = await loadExhibit(config, await openImageFolder(data), 2)
  const model = modelOf(following)
  const before = liveTensors()
  const made = reconstructExhibit(model, exhibit, 0)
  expect(liveTensors()).toBe(before)
  expect(made.hiddenShare).toBeNull()
  const { columns, rows, footer } = reconstructionGrid(made)
  expect(columns.map(({ title }) => title)).toEqual(['original', 'target', 'prediction'])
  expect(rows.map((row) => row.length)).toEqual([3, 3])
  expect(columns[2]!.note).toBe('cosine\u00a01') // the teacher begins as the student
  expect(rows[0]![2]).toEqual(rows[0]![1])
  expect(footer).toMatch(/^Red, green, blue: the first three principal components .* of their variance/)
  expect(() => reconstructExhibit(model, exhibit, 0, { used: ['raw'] })).toThrow('predicts no pixels')
})

it('what needs masks says what has learned it', () => {
  const objective = following(config, 'cpu')
  expect(isMasked(objective)).toBe(false)
  expect(() => expectMasked(objective, { name: 'following', what: 'An exported autoencoder' })).toThrow(
    'An exported autoencoder needs a model that hides patches and predicts them, and this one has learned by objective following',
  )
})
