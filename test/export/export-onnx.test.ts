import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, it } from 'vitest'
import { writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { weightsMetadata } from '../../src/checkpoint/weights-metadata.ts'
import { decodedConfig } from '../../src/config/resolve.ts'
import { checkProof, type Exported, type ExportOptions, exportOnnx } from '../../src/export/export-onnx.ts'
import { smallestCosine } from '../../src/export/feature-cost.ts'
import { openModel } from '../../src/export/model-parts.ts'
import { precisions } from '../../src/export/precision.ts'
import type { Comparison } from '../../src/export/prove-onnx.ts'
import { onnxFeatures, openOnnxEncoder } from '../../src/infer/onnx-encoder.ts'
import { openOnnxModel } from '../../src/infer/onnx-model.ts'
import type { Session, TensorData } from '../../src/onnx/session.ts'
import { writeSatelliteData } from '../../src/sample-data/satellite/write-places.ts'
import { fromArray } from '../../src/tensor/tensor.ts'
import { featuresOf } from '../../src/weights/folder-features.ts'
import { valuesOf } from '../../src/weights/frozen-encoder.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { sampleFolder, tinyConfig, workFolder } from '../run/tiny.ts'
import { expectClose } from '../tolerance.ts'

it('a file that does not agree with LibTorch is not left behind', async () => {
  const out = await workFolder()
  const encoder = await openEncoder({ model: 'random', config: tinyConfig(), device: 'cpu' })
  const broken = fromArray(new Float32Array(32).fill(Number.NaN), [32], 'float32')
  const parameters = new Map([...encoder.parameters, ['norm.bias', broken]])

  const exporting = exported({ model: { ...encoder, parameters }, out, precisions: ['fp32'] })
  await expect(exporting).rejects.toThrow(
    'The fp32 graph of the encoder does not agree with LibTorch on random samples: the largest difference is NaN',
  )
  expect(readdirSync(out)).toEqual([])
})

/** All files of a model. */
async function exported(options: ExportOptions): Promise<Exported[]> {
  const files: Exported[] = []
  for await (const file of exportOnnx(options)) files.push(file)
  return files
}

it('every graph says what it is, and is opened as that', async () => {
  const [out, dir] = [await workFolder(), await sampleFolder(11)]
  const request = { model: 'random', config: tinyConfig(), device: 'cpu' } as const
  const names = ['encoder', 'autoencoder'] as const
  const files = await exported({
    ...{ model: await openModel(request, names), out, images: dir, graphs: names },
    ...{ precisions: ['fp32', 'int8'], attention: true, dynamicGrid: { most: 50 } },
  })
  expect(files.map(({ file, graph, precision }) => [basename(file), graph, precision])).toEqual([
    ['encoder.onnx', 'encoder', 'fp32'],
    ['encoder-int8.onnx', 'encoder', 'int8'],
    ['autoencoder.onnx', 'autoencoder', 'fp32'],
    ['autoencoder-int8.onnx', 'autoencoder', 'int8'],
  ])
  expect(files[0]!.comparisons).toMatchObject([
    {
      ...{ samples: 'random', count: 24, batches: [1, 2, 5, 1, 2, 5, 1, 2, 5] },
      sizes: [
        [16, 16],
        [20, 24],
        [8, 12],
      ],
    },
    { samples: 'images', count: 11 },
  ])
  expect(files[2]!.comparisons[0]).toMatchObject({ batches: [1, 2, 5] })

  const [encoder, autoencoder] = await Promise.all([
    openOnnxModel(files[0]!.file),
    openOnnxModel(files[3]!.file),
  ])
  expect(encoder).toMatchObject({
    ...{ graph: 'encoder', precision: 'fp32', shape: [3, 16, 16], grid: { multipleOf: 4, most: 48 } },
    ...{ bands: null, classes: null, outputs: ['cls', 'mean', 'patches', 'attention'] },
    statistics: { mean: [0.485, 0.456, 0.406] },
  })
  expect(autoencoder).toMatchObject({
    ...{ graph: 'autoencoder', precision: 'int8', grid: null, outputs: ['prediction'] },
    origin: { path: files[3]!.file, step: 0 },
  })
  expect(decodedConfig(autoencoder.config).decoder.width).toBe(16)
  await Promise.all([encoder.session.close(), autoencoder.session.close()])
  await expect(openOnnxEncoder(files[2]!.file)).rejects.toThrow('holds the graph of the autoencoder')
})

it('a file without a decoder gives no autoencoder', async () => {
  const config = tinyConfig()
  const { parameters, statistics } = await openEncoder({ model: 'random', config, device: 'cpu' })
  const path = join(await workFolder(), 'encoder.safetensors')
  writeSafetensors(path, parameters, weightsMetadata({ config, statistics }))

  await expect(openModel({ model: path, device: 'cpu' }, ['autoencoder'])).rejects.toThrow('has no decoder')
  expect((await openModel({ model: path, device: 'cpu' }, ['encoder'])).autoencoder).toBeUndefined()
})

it('the cosine is that of the worst pair', () => {
  const a = Float32Array.of(1, 0, 3, 4)
  expect(smallestCosine(a, a, 2)).toBe(1)
  expect(smallestCosine(a, Float32Array.of(2, 0, 4, 3), 2)).toBeCloseTo(24 / 25, 12)
  expect(smallestCosine(a, Float32Array.of(0, 0, 3, 4), 2)).toBeNaN()
})

it('an exported encoder with dates embeds series as the model does', async () => {
  const [dir, out] = [await workFolder(), await workFolder()]
  await writeSatelliteData({ dir, count: 8, size: 16, dates: 2, layout: 'stack', masks: false, seed: 2 })
  const config = tinyConfig({
    model: { frames: 2, timeFields: ['month', 'hour'], timeWidth: 4 },
    decoder: { timeWidth: 4 },
    data: { bands: ['B3', 'B4', 'B11'] },
    train: { precision: 'fp32' },
  })
  const statistics = { mean: [900, 950, 2000], std: [500, 600, 1000] }
  const encoder = await openEncoder({ model: 'random', config, statistics, device: 'cpu' })
  const [made] = await exported({ model: encoder, out, precisions: ['fp32'], images: dir })

  const opened = await openOnnxEncoder(made!.file)
  expect(opened.inputs).toEqual(['positions'])
  const given: TensorData[] = []
  const session: Session = {
    ...opened.session,
    run(inputs, wanted) {
      given.push((inputs as Record<string, TensorData>).positions!)
      return opened.session.run(inputs, wanted)
    },
  }
  const [expected, { features }] = [
    await featuresOf(encoder, dir),
    await onnxFeatures({ ...opened, session }, dir),
  ]
  await opened.session.close()
  expect(features.count).toBe(8)
  for (const pooling of ['cls', 'mean'] as const)
    expectClose(valuesOf(features, pooling).values, valuesOf(expected.features, pooling).values, 1e-5)
  // [8, 2 · 16, 32], of which the last 8 say the date: which differs between frames and samples.
  expect(given.map(({ shape }) => shape)).toEqual([[8, 32, 32]])
  const told = Array.from({ length: 16 }, (_, i) =>
    given[0]!.values.slice(16 * 32 * i + 24, 16 * 32 * i + 32).join(),
  )
  expect(new Set(told).size).toBeGreaterThan(4)
})

it('an exported encoder of bands embeds rasters as the model does, and refuses those of another resolution', async () => {
  const [dir, out] = [await workFolder(), await workFolder()]
  await writeSatelliteData({ dir, count: 8, size: 16, dates: 1, layout: 'stack', masks: false, seed: 2 })
  const config = tinyConfig({
    model: { groups: [['B4', 'B3'], ['B11']], groupWidth: 8, referenceResolution: 10 },
    decoder: { groupWidth: 4 },
    data: { bands: ['B3', 'B4', 'B11'] },
    train: { precision: 'fp32' },
  })
  const statistics = { mean: [900, 950, 2000], std: [500, 600, 1000] }
  const encoder = await openEncoder({ model: 'random', config, statistics, device: 'cpu' })
  const [made] = await exported({ model: encoder, out, precisions: ['fp32'], images: dir })

  const opened = await openOnnxEncoder(made!.file)
  const [expected, { features }] = [await featuresOf(encoder, dir), await onnxFeatures(opened, dir)]
  expect(opened.bands).toEqual(['B3', 'B4', 'B11'])
  expect(features.count).toBe(8)
  for (const pooling of ['cls', 'mean'] as const)
    expectClose(valuesOf(features, pooling).values, valuesOf(expected.features, pooling).values, 1e-5)
  await expect(onnxFeatures({ ...opened, resolution: 60 }, dir)).rejects.toThrow(
    'exported for 60 metres a pixel',
  )
})

it('says what a smaller precision costs on images, and leaves no file below the bar', async () => {
  const [out, dir] = [await workFolder(), await sampleFolder(24)]
  const model = await openModel({ model: 'random', config: tinyConfig(), device: 'cpu' }, ['encoder'])
  const options = { model, out, images: dir } as const
  const [half] = await exported({ ...options, precisions: ['fp16'] })
  const [, { features = {} }] = half!.comparisons as [object, Comparison]
  expect(Object.keys(features)).toEqual(['cls', 'mean'])
  for (const { meanCosine, leastCosine, overlap } of Object.values(features)) {
    expect(leastCosine).toBeGreaterThan(0.999)
    expect(meanCosine).toBeGreaterThanOrEqual(leastCosine)
    expect(overlap).toBeGreaterThan(0.95)
  }
  const refused = { ...options, precisions: ['int8'] as const }
  await expect(exported({ ...refused, bars: { leastCosine: 1 } })).rejects.toThrow(
    '(at least 1). No file was written',
  )
  const comparisons = [
    { ...half!.comparisons[1]!, features: { mean: { meanCosine: 1, leastCosine: 1, overlap: 0.79 } } },
  ]
  const proof = { comparisons, speed: half!.speed }
  expect(() => checkProof(proof, precisions.int8, 'int8 graph of the encoder')).toThrow(
    'of the ten nearest by "mean", 79.0 % stay (at least 80 %)',
  )
  checkProof(proof, { ...precisions.int8, leastOverlap: 0.7 }, 'int8 graph of the encoder')
  expect(readdirSync(out)).toEqual(['encoder-fp16.onnx'])
})
