// Runs whose masks follow weights: they begin, draw pictures, resume bit for bit, are previewed, and say what does not fit.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openRun } from '../../src/checkpoint/run-folder.ts'
import { openData } from '../../src/config/assemble.ts'
import { withOverride } from '../../src/config/overrides.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { previewMasks } from '../../src/run/mask-preview.ts'
import { loadExhibit } from '../../src/run/pictures.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { run, sampleFolder, tinyConfig, tinyDecoder, tinyModel, workFolder } from './tiny.ts'

let data: string
let dir: string
let teacher: string
beforeAll(async () => {
  ;[data, dir] = [await sampleFolder(), await workFolder()]
  teacher = join(dir, 'teacher')
  await run({ config: tinyConfig({ train: { steps: 1 } }), data, out: teacher })
})

const kinds = (): Record<string, ConfigInput> => ({
  'AttMask of a teacher': {
    mask: {
      kind: 'attention',
      ratio: 0.5,
      rule: 'attmask-hint',
      showMax: 0.3,
      maskingProb: 0.6,
      model: teacher,
    },
  },
  'MILAN of one teacher': {
    mask: { kind: 'attention', rule: 'milan', model: teacher },
    target: { kind: 'features', model: teacher },
  },
  'AMT of the encoder itself': {
    mask: { kind: 'attention', ratio: 0.45, rule: 'amt', fromEpoch: 0.3 },
  },
  'hard patches': { mask: { kind: 'loss', hardFrom: 0.2, predictorWidth: 16 } },
  'hard patches of SimMIM': {
    objective: 'simmim',
    mask: { kind: 'loss', predictorWidth: 16 },
  },
})
const configOf = (kind: string, steps: number) => {
  const own = kinds()[kind]!
  const given = { ...own, train: { steps }, log: { pictureEverySteps: 2 }, checkpoint: { everySteps: 2 } }
  if (own.objective !== 'simmim') return tinyConfig(given)
  return resolveConfig({
    ...{ ...given, model: tinyModel, optim: { baseLearningRate: 0.05 } },
    train: { batchSize: 8, threads: 1, steps },
  })
}
const weightsIn = (out: string) => readFileSync(join(openRun(out).latest!.path, 'model.safetensors'))

describe.each([
  'AttMask of a teacher',
  'MILAN of one teacher',
  'AMT of the encoder itself',
  'hard patches',
  'hard patches of SimMIM',
])('%s', (kind) => {
  it('continues to the same bits, and is an encoder to others', async () => {
    const [straight, parted] = ['straight', 'parted'].map((name) => join(dir, kind, name)) as [string, string]
    const events = await run({ config: configOf(kind, 4), data, out: straight })
    expect(events.at(-1)).toMatchObject({ kind: 'end', reason: 'completed', step: 4 })
    await run({ config: configOf(kind, 4), data, out: parted }, (event) => event.kind === 'checkpoint')
    await run({ config: configOf(kind, 4), data, out: parted, resume: true })
    expect(weightsIn(parted).equals(weightsIn(straight))).toBe(true)
    expect(existsSync(join(straight, 'samples/step-00000002.png'))).toBe(true)
    const { parameters } = await openEncoder({ model: straight, device: 'cpu' })
    expect([...parameters.keys()].filter((name) => /teacher|predictor/.test(name))).toEqual([])
  })
})

it('a preview draws the attention of a teacher, and says why it leaves out what needs a run', async () => {
  const preview = (set: readonly string[]) =>
    previewMasks({
      set,
      composed: (assignments) =>
        resolveConfig(
          assignments.reduce<ConfigInput>(withOverride, { model: tinyModel, decoder: tinyDecoder }),
        ),
      load: async (config) => loadExhibit(config, await openData(config, data), 3),
    })
  const { shown, leftOut } = await preview([
    `mask.model=${teacher}`,
    'mask.rule=attmask-low',
    'mask.ratio=0.5',
  ])
  expect(leftOut.map(({ reason }) => reason)).toEqual([
    expect.stringMatching('learned to predict'),
    expect.stringMatching(/^mask\.dir: .* is not set/),
  ])
  expect(shown.find(({ kind }) => kind === 'attention')).toEqual({
    ...{ kind: 'attention', hidden: 8, patches: 16 },
  })
  expect(leftOut.map(({ kind }) => kind)).toEqual(['loss', 'files'])
  const without = await preview([])
  expect(without.leftOut[0]!.reason).toMatch(/name one with --set mask.model=RUN/)
})

describe('is refused', () => {
  it.each<[string, RegExp, ConfigInput['mask']]>([
    ['shares that leave nothing', /leave nothing to see.*0.45 and 0.4/, { kind: 'attention', rule: 'amt' }],
    [
      'nothing to show again',
      /mask.showMax 0.05 of 16 patches is none/,
      { kind: 'attention', rule: 'attmask-hint', showMax: 0.05 },
    ],
    ['a ratio that hides nothing', /hides 0/, { kind: 'attention', ratio: 0.01 }],
    [
      'a predictor that its heads do not divide',
      /heads/,
      { kind: 'loss', predictorWidth: 20, predictorHeads: 3 },
    ],
    ['a key of another kind', /only with mask.kind=attention/, { kind: 'loss', rule: 'amt' } as never],
  ])('%s', (_, message, mask) => expect(() => tinyConfig({ mask })).toThrow(message))

  it.each<[string, RegExp, ConfigInput]>([
    ['a teacher of another grid', /mask.model: the teacher has 4 × 4 patches/, { model: { imageSize: 24 } }],
    [
      'a teacher of other channels',
      /was trained on 3 channels, and this run has 1/,
      { model: { channels: 1 } },
    ],
  ])('%s', async (name, message, over) => {
    const config = tinyConfig({ ...over, mask: { kind: 'attention', model: teacher } })
    await expect(run({ config, data, out: join(dir, name) })).rejects.toThrow(message)
  })
})
