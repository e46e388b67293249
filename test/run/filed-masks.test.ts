// Runs whose masks are files beside the images: what is hidden, caches, accumulation, resuming, pictures, and what does not fit.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { openRun, runPaths } from '../../src/checkpoint/run-folder.ts'
import { loaderOptions, maskedObjectiveOf, openData } from '../../src/config/assemble.ts'
import { withOverride } from '../../src/config/overrides.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { caches } from '../../src/prepare/cache/caches.ts'
import { openFeed } from '../../src/prepare/cache/feed.ts'
import { openLoader } from '../../src/prepare/loader/loader.ts'
import { draws } from '../../src/random/draws.ts'
import { previewMasks } from '../../src/run/mask-preview.ts'
import { loadExhibit } from '../../src/run/pictures.ts'
import { scope } from '../../src/tensor/scope.ts'
import { toFloats } from '../../src/tensor/tensor.ts'
import { hiddenMask } from '../../src/token/mask.ts'
import { run, sampleFolder, tinyConfig, tinyDecoder, tinyModel, workFolder } from './tiny.ts'

const COUNT = 16
let data: string
let masks: string
let dir: string
let files: readonly string[]

/** The left part of an image is masked, as wide as its number says: of image 0 nothing, of the last one all. */
beforeAll(async () => {
  ;[data, dir] = [await sampleFolder(COUNT), await workFolder()]
  masks = join(dir, 'masks')
  files = (await openData(tinyConfig(), data)).files
  for (const [i, file] of files.entries()) {
    const path = join(masks, file.replace(/\.\w+$/, '.png'))
    mkdirSync(dirname(path), { recursive: true })
    const width = (i * 40) / (COUNT - 1)
    const pixels = Uint8Array.from({ length: 40 * 40 }, (_, n) => (n % 40 < width ? 1 : 0))
    writeFileSync(
      path,
      await sharp(pixels, { raw: { width: 40, height: 40, channels: 1 } })
        .toColourspace('b-w')
        .png()
        .toBuffer(),
    )
  }
})

const configOf = (over: ConfigInput = {}) =>
  tinyConfig({ ...over, mask: { kind: 'files', dir: masks }, data: { crop: 'center', ...over.data } })
const learned = (out: string) =>
  readFileSync(runPaths(out).metrics, 'utf8')
    .trim()
    .split('\n')
    .map((line) => (({ step, loss, gradientNorm }) => ({ step, loss, gradientNorm }))(JSON.parse(line)))
const weightsIn = (out: string) => readFileSync(join(openRun(out).latest!.path, 'model.safetensors'))

describe('what is hidden', () => {
  it.each(caches)(
    'the patches that are masked, mirrored as the image is, with data.cache=%s',
    async (cache) => {
      const config = configOf({ data: { cache } })
      const objective = maskedObjectiveOf(config, 'cpu')
      const source = await openData(config, data)
      const feed = await openFeed(cache, {
        ...{ views: objective.views, statistics: { mean: [0.5, 0.5, 0.5], std: [1, 1, 1] }, device: 'cpu' },
        loader: loaderOptions(config, source, { decodeThreads: 2 }, { views: objective.views }),
      })
      const loader = openLoader({ ...feed.loader, batchSize: COUNT })
      try {
        const batch = await loader.next()
        const { epochs, indices } = batch
        const hidden = scope(() => {
          const { image } = feed.toViews(batch)
          const { seed } = config.train
          return toFloats(hiddenMask(objective.plan({ seed, samples: { epochs, indices } }, { image })))
        })
        for (const [b, index] of indices.entries()) {
          const flip =
            draws({ seed: config.train.seed, stream: 'flip', epoch: epochs[b]!, index }).uniform() < 0.5
          // Columns of 10 mask pixels, more than half of which are masked; of a wholly masked image the first patch is seen.
          const columns = [0, 1, 2, 3].map((c) =>
            Math.ceil((index * 40) / (COUNT - 1)) - 10 * c > 5 ? 1 : 0,
          )
          const row = flip ? columns.toReversed() : columns
          const wanted = [...row, ...row, ...row, ...row]
          if (!wanted.includes(0)) wanted[0] = 0
          expect([...hidden.subarray(b * 16, (b + 1) * 16)], files[index]).toEqual(wanted)
        }
      } finally {
        await loader.close()
        feed.close()
      }
    },
  )
})

it('continues to the same bits, and learns the same wherever images are kept', async () => {
  const own = (cache: 'none' | 'memory' | 'device') =>
    configOf({
      data: { cache, crop: 'random' },
      train: { steps: 4 },
      checkpoint: { everySteps: 2 },
      log: { pictureEverySteps: 2 },
    })
  const out = (name: string) => join(dir, name)
  await run({ config: own('none'), data, out: out('straight') })
  await run({ config: own('none'), data, out: out('parted') }, ({ kind }) => kind === 'checkpoint')
  await run({ config: own('none'), data, out: out('parted'), resume: true })
  expect(weightsIn(out('parted')).equals(weightsIn(out('straight')))).toBe(true)
  await run({ config: own('device'), data, out: out('device') })
  expect(learned(out('device'))).toEqual(learned(out('straight')))
})

it('four micro-batches are one batch, also where one of them hides nothing', async () => {
  const losses = []
  for (const [name, train] of Object.entries({
    whole: { batchSize: 16, accumulate: 1, steps: 2, precision: 'fp32' as const },
    parts: { batchSize: 1, accumulate: 16, steps: 2, precision: 'fp32' as const },
  })) {
    await run({ config: configOf({ train }), data, out: join(dir, name) })
    losses.push(learned(join(dir, name)))
  }
  for (const [i, { loss, gradientNorm }] of losses[0]!.entries()) {
    expect(Math.abs(losses[1]![i]!.loss - loss)).toBeLessThan(1e-6)
    expect(Math.abs(losses[1]![i]!.gradientNorm - gradientNorm)).toBeLessThan(1e-6 * gradientNorm)
  }
})

it('a preview draws the masks, and says where the folder is missing', async () => {
  const preview = (set: readonly string[]) =>
    previewMasks({
      set,
      composed: (assignments) =>
        resolveConfig(
          assignments.reduce<ConfigInput>(withOverride, { model: tinyModel, decoder: tinyDecoder }),
        ),
      load: async (config, masks) => loadExhibit(config, await openData(config, data), 16, { masks }),
    })
  const { shown } = await preview([`mask.dir=${masks}`])
  expect(shown.find(({ kind }) => kind === 'files')).toEqual({ kind: 'files', hidden: 0, patches: 16 }) // of the first image
  expect((await preview([])).leftOut.find(({ kind }) => kind === 'files')!.reason).toMatch(/mask\.dir/)
})

describe('refused before a run is made', () => {
  const refused = async (over: ConfigInput, message: RegExp) => {
    const out = join(dir, 'refused')
    await expect(run({ config: tinyConfig(over), data, out })).rejects.toThrow(message)
    expect(() => readFileSync(runPaths(out).config)).toThrow('ENOENT')
  }
  it('no folder, and images without masks', async () => {
    await refused({ mask: { kind: 'files', dir: join(dir, 'none') } }, /There is no folder .*none/)
    const some = join(dir, 'some')
    for (const file of files.slice(0, 14)) {
      const name = file.replace(/\.\w+$/, '.png')
      mkdirSync(dirname(join(some, name)), { recursive: true })
      writeFileSync(join(some, name), readFileSync(join(masks, name)))
    }
    await refused({ mask: { kind: 'files', dir: some } }, /2 of 16 images have no mask: expected .*\.png, /)
  })
  it('masks that do not fit their images', async () => {
    const odd = join(dir, 'odd')
    const wide = await sharp({ create: { width: 8, height: 4, channels: 3, background: 'white' } })
      .toColourspace('b-w')
      .png()
      .toBuffer()
    for (const file of files) {
      const path = join(odd, file.replace(/\.\w+$/, '.png'))
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, wide)
    }
    await refused({ mask: { kind: 'files', dir: odd } }, /is 8 × 4, and the image 20 × 20/)
  })
  it('no folder named, a key of another kind, rasters', () => {
    expect(() => tinyConfig({ mask: { kind: 'files' } as never })).toThrow(/mask\.dir/)
    expect(() => tinyConfig({ mask: { kind: 'random', dir: masks } as never })).toThrow(
      /only with mask.kind=files/,
    )
    expect(() =>
      tinyConfig({ data: { bands: ['red', 'green', 'blue'] } as never, mask: { kind: 'files', dir: masks } }),
    ).toThrow(/mask.kind files is for image files/)
  })
})
