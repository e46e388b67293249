// What features are computed in is asked for where they are made, and is float32 otherwise, whatever the model was trained in.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeFeatures } from '../../src/evaluate/feature-file.ts'
import { finetune } from '../../src/evaluate/finetune.ts'
import { finetuneDefaults } from '../../src/evaluate/finetune-settings.ts'
import { expectPlainRequest } from '../../src/infer/onnx-model.ts'
import { loadExhibit, reconstructExhibit } from '../../src/run/pictures.ts'
import { openEmbedder } from '../../src/search/embedder.ts'
import { indexFeatures } from '../../src/search/index-features.ts'
import { openIndex } from '../../src/search/index-folder.ts'
import { indexFolder, updateIndex } from '../../src/search/make-index.ts'
import { openSource } from '../../src/source/open.ts'
import { featuresOf } from '../../src/weights/folder-features.ts'
import { valuesOf } from '../../src/weights/frozen-encoder.ts'
import { loadModel } from '../../src/weights/load-model.ts'
import { type EncoderRequest, openEncoder } from '../../src/weights/open-encoder.ts'
import { colourFolder } from './colour-folder.ts'
import { run, sampleFolder, tinyConfig, workFolder } from './tiny.ts'

let [images, photos, out, dir] = ['', '', '', '']
beforeAll(async () => {
  ;[images, photos, dir] = await Promise.all([colourFolder(24, 1), sampleFolder(), workFolder()])
  out = join(dir, 'run')
  const config = tinyConfig({ train: { precision: 'bf16', steps: 2 } })
  await run({ config, data: photos, out })
})

const trainedIn = (precision: 'fp32' | 'bf16', more: Partial<EncoderRequest> = {}) =>
  openEncoder({
    ...{ model: 'random', config: tinyConfig({ train: { precision } }), device: 'cpu', seed: 1 },
    ...more,
  })

describe('features', () => {
  it('are in float32 whatever the model was trained in, and in bfloat16 where that is asked for', async () => {
    const of = async (...args: Parameters<typeof trainedIn>) => {
      const encoder = await trainedIn(...args)
      return [
        encoder.origin.precision,
        valuesOf((await featuresOf(encoder, images)).features, 'mean').values,
      ] as const
    }
    const [name, exact] = await of('fp32')
    expect(name).toBe('fp32')
    expect(await of('bf16')).toEqual(['fp32', exact])
    const [half, rounded] = await of('fp32', { precision: 'bf16' })
    expect(half).toBe('bf16')
    const largest = exact.reduce((most, x, i) => Math.max(most, Math.abs(x - rounded[i]!)), 0)
    expect(largest).toBeGreaterThan(1e-4) // it was another arithmetic
    expect(largest).toBeLessThan(0.1)
  })

  it('say in files what they were computed in', async () => {
    const encoder = await trainedIn('fp32', { precision: 'bf16' })
    const path = join(dir, 'f.npy')
    writeFeatures(path, await featuresOf(encoder, images), { pooling: 'mean', model: encoder.origin })
    expect(JSON.parse(readFileSync(join(dir, 'f.json'), 'utf8')).model.precision).toBe('bf16')
    const { model } = await indexFeatures(path, { out: join(dir, 'of-features') })
    expect(model).toMatchObject({ precision: 'bf16', sha256: null })
  })

  it('are not asked of an exported file, which has its own', () => {
    expect(() => expectPlainRequest({ device: 'cpu', precision: 'bf16' })).toThrow(
      /computes in the precision that it was exported in: leave --precision out/,
    )
    expect(() => expectPlainRequest({ device: 'cuda' })).toThrow(/runs on the CPU/)
    expect(() => expectPlainRequest({ device: 'auto', precision: undefined })).not.toThrow()
  })
})

it('an index keeps its precision: no vectors of another are put beside its own', async () => {
  const at = join(dir, 'index')
  const made = await indexFolder(photos, await openEmbedder(out, { device: 'cpu', precision: 'bf16' }), {
    out: at,
  })
  expect(made.facts.model).toMatchObject({ precision: 'bf16' })
  const index = await openIndex(at)
  const other = await openEmbedder(out, { device: 'cpu' })
  await expect(updateIndex(index, other)).rejects.toThrow(
    /vectors that were computed in bf16, and those of .* would be in fp32: leave --precision out/,
  )
  const same = await openEmbedder(out, { device: 'cpu', precision: 'bf16' })
  expect(await updateIndex(index, same)).toMatchObject({ embedded: 0, removed: 0 })
  await index.close()
})

it('fine-tuning follows train.precision, or what it is asked for', async () => {
  const tuned = async (train: 'fp32' | 'bf16', precision?: 'fp32' | 'bf16') => {
    const losses: number[] = []
    const { model } = await finetune({
      ...{ encoder: await trainedIn(train), data: { train: images, test: null }, seeds: [0], precision },
      settings: { ...finetuneDefaults, epochs: 1, batchSize: 8, warmupEpochs: 0, randAugment: null },
      ...{ fromScratch: false, signal: new AbortController().signal },
      onStep: ({ loss }) => void losses.push(loss),
    })
    return { precision: model.precision, losses }
  }
  const [full, half] = [await tuned('fp32'), await tuned('bf16')]
  expect([full.precision, half.precision]).toEqual(['fp32', 'bf16'])
  expect(half.losses).not.toEqual(full.losses)
  expect(await tuned('bf16', 'fp32')).toEqual(full)
  expect(await tuned('fp32', 'bf16')).toEqual(half)
})

it('pictures are in float32, and in bfloat16 where that is asked for', async () => {
  const [exact, rounded] = [await loadModel(out, 'cpu'), await loadModel(out, 'cpu', 'bf16')]
  expect([exact.precision, rounded.precision]).toEqual(['float32', 'bfloat16'])
  const exhibit = await loadExhibit(exact.config, await openSource(photos, null), 2)
  const [a, b] = [exact, rounded].map((model) =>
    reconstructExhibit(model, exhibit, 0).images.flatMap(({ rebuilt }) =>
      rebuilt.map(({ quality }) => quality.psnr),
    ),
  ) as [number[], number[]]
  expect(a).not.toEqual(b)
  for (const [i, psnr] of a.entries()) expect(Math.abs(b[i]! - psnr)).toBeLessThan(0.5)
})
