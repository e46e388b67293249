/** Runs of the objectives with mask tokens: trained, resumed, pictured; their encoder is opened, exported, and begins a run of MAE. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { openRun, runPaths } from '../../src/checkpoint/run-folder.ts'
import { resolveConfig, targetKeysOf } from '../../src/config/resolve.ts'
import type { Config } from '../../src/config/schema.ts'
import { exportTimm } from '../../src/export/export-timm.ts'
import { expectMasked } from '../../src/objective/masked.ts'
import { readMetrics } from '../../src/run/journal.ts'
import { loadExhibit, reconstructExhibit } from '../../src/run/pictures.ts'
import { openImageFolder } from '../../src/source/image-folder.ts'
import { toFloats } from '../../src/tensor/tensor.ts'
import { loadModel } from '../../src/weights/load-model.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { run, sampleFolder, tinyConfig, tinyModel, workFolder } from './tiny.ts'

const configOf = (objective: 'simmim' | 'maskfeat'): Config =>
  resolveConfig({
    objective,
    model: tinyModel,
    ...(objective === 'maskfeat' ? { target: { cellSize: 4 } } : { mask: { kind: 'coarse', cell: 8 } }),
    optim: { baseLearningRate: 0.05 },
    train: { batchSize: 8, steps: 6, threads: 1 },
    checkpoint: { everySteps: 3 },
    log: { pictureEverySteps: 6 },
  })

let data = ''
beforeAll(async () => {
  data = await sampleFolder()
})
const weights = (out: string) => readFileSync(join(openRun(out).latest!.path, 'model.safetensors'))

it.each([
  ['simmim', 'pixels', 'pixels'],
  ['maskfeat', 'hog', 'gradients'],
] as const)('%s trains, and resumes bit for bit', async (objective, part, shown) => {
  const config = configOf(objective)
  expect(targetKeysOf(config)?.kind).toBe(part)
  const [straight, stopped] = [join(await workFolder(), 'a'), join(await workFolder(), 'b')]
  await run({ config, data, out: straight })
  await run({ config, data, out: stopped }, (event) => event.kind === 'checkpoint' && event.step === 3)
  await run({ config, data, out: stopped, resume: true })
  expect(weights(stopped).equals(weights(straight))).toBe(true)
  const metrics = readMetrics(runPaths(straight).metrics)
  expect(metrics.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6])
  expect(metrics.every(({ loss }) => Number.isFinite(loss))).toBe(true)
  expect(existsSync(join(straight, 'samples', 'step-00000006.png'))).toBe(true)

  const model = await loadModel(straight, 'cpu')
  expect(expectMasked(model.objective, { name: 'masked', what: 'A test' }).target.shows.kind).toBe(shown)
  const exhibit = await loadExhibit(config, await openImageFolder(data), 2)
  expect(reconstructExhibit(model, exhibit, 0)).toBeDefined()

  const encoder = await openEncoder({ model: straight, device: 'cpu' })
  const stored = new Map([...model.parameters].map(([name, x]) => [name, toFloats(x)]))
  for (const [name, x] of encoder.parameters) expect([name, toFloats(x)]).toEqual([name, stored.get(name)])
  const folder = join(await workFolder(), 'timm')
  await exportTimm({ model: straight, out: folder })
  expect(existsSync(join(folder, 'model.safetensors'))).toBe(true)

  const mae = join(await workFolder(), 'mae')
  await run({ config: tinyConfig({ train: { steps: 1 } }), data, out: mae, init: straight })
  expect(openRun(mae).latest?.step).toBe(1)
})

it('what they do not take is refused', () => {
  const refused = (over: object) => () => resolveConfig({ model: tinyModel, ...over })
  expect(refused({ objective: 'simmim', decoder: { width: 16 } })).toThrow(
    /^decoder\.width is read only with objective=mae .*, and objective is simmim\.$/,
  )
  expect(refused({ objective: 'simmim', target: { scales: [2] } })).toThrow(
    'target.scales needs the decoder of objective mae, and objective is simmim: leave it out',
  )
  expect(refused({ objective: 'beit', data: { bands: ['B2', 'B3'] } })).toThrow(
    /^objective beit learns from images, and data\.kind is rasters/,
  )
  const groups = { groups: [['B2'], ['B3']], groupWidth: 8 }
  const taken = resolveConfig({
    objective: 'simmim',
    data: { bands: ['B2', 'B3'] },
    model: { ...tinyModel, ...groups },
  })
  expect(taken.data.kind).toBe('rasters')
  expect(refused({ objective: 'maskfeat', data: { bands: ['B2', 'B3'], minValid: 0.5 } })).toThrow(
    'data.minValid 0.5 is less than the share of tokens that are seen',
  )
  expect(refused({ objective: 'simmim', mask: { ratio: 0.99 } })).toThrow(/would keep|kept|at least/)
})
