import { readdirSync } from 'node:fs'
import { expect, it } from 'vitest'
import { openEncoder } from '../../src/run/encoder.ts'
import { type Exported, exportOnnx } from '../../src/run/export-onnx.ts'
import { featuresOf } from '../../src/run/features.ts'
import { onnxFeatures, openOnnxEncoder } from '../../src/run/onnx-encoder.ts'
import { smallestCosine } from '../../src/run/prove-onnx.ts'
import { writeSatelliteData } from '../../src/source/sample-data/satellite/write.ts'
import { fromArray } from '../../src/tensor/tensor.ts'
import { expectClose } from '../tolerance.ts'
import { tinyConfig, workFolder } from './tiny.ts'

it('a file that does not agree with LibTorch is not left behind', async () => {
  const out = await workFolder()
  const encoder = openEncoder({ model: 'random', config: tinyConfig(), device: 'cpu' })
  const broken = fromArray(new Float32Array(32).fill(Number.NaN), [32], 'float32')
  const parameters = new Map([...encoder.parameters, ['norm.bias', broken]])

  const exporting = async () => {
    const files: Exported[] = []
    for await (const file of exportOnnx({ model: { ...encoder, parameters }, out, precisions: ['fp32'] }))
      files.push(file)
  }
  await expect(exporting()).rejects.toThrow(
    'The fp32 graph of the encoder does not agree with LibTorch on random samples: the largest difference is NaN',
  )
  expect(readdirSync(out)).toEqual([])
})

it('the cosine is that of the worst pair', () => {
  const a = Float32Array.of(1, 0, 3, 4)
  expect(smallestCosine(a, a, 2)).toBe(1)
  expect(smallestCosine(a, Float32Array.of(2, 0, 4, 3), 2)).toBeCloseTo(24 / 25, 12)
  expect(smallestCosine(a, Float32Array.of(0, 0, 3, 4), 2)).toBeNaN()
})

it('an exported encoder of bands embeds rasters as the model does, and refuses those of another resolution', async () => {
  const [dir, out] = [await workFolder(), await workFolder()]
  await writeSatelliteData({ dir, count: 8, size: 16, dates: 1, layout: 'stack', masks: false, seed: 2 })
  const config = tinyConfig({
    model: { groups: [['B4', 'B3'], ['B11']], groupWidth: 8, decoderGroupWidth: 4, referenceResolution: 10 },
    data: { bands: ['B3', 'B4', 'B11'] },
    train: { precision: 'fp32' },
  })
  const statistics = { mean: [900, 950, 2000], std: [500, 600, 1000] }
  const encoder = openEncoder({ model: 'random', config, statistics, device: 'cpu' })
  const files: string[] = []
  for await (const { file } of exportOnnx({ model: encoder, out, precisions: ['fp32'], images: dir }))
    files.push(file)

  const exported = await openOnnxEncoder(files[0]!)
  const [expected, { features }] = [await featuresOf(encoder, dir), await onnxFeatures(exported, dir)]
  expect(exported.bands).toEqual(['B3', 'B4', 'B11'])
  expect(features.count).toBe(8)
  for (const pooling of ['cls', 'mean'] as const)
    expectClose(features.vectors[pooling], expected.features.vectors[pooling], 1e-5)
  await expect(onnxFeatures({ ...exported, resolution: 60 }, dir)).rejects.toThrow(
    'exported for 60 metres a pixel',
  )
})
