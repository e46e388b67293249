// Encoders for images of another size than their own.
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { imageSize } from '../../src/cli/options.ts'
import { openBackbone } from '../../src/model/backbone.ts'
import { backboneAt } from '../../src/model/backbone-shape.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { openEmbedder } from '../../src/search/embedder.ts'
import { openIndex } from '../../src/search/index-folder.ts'
import { indexFolder } from '../../src/search/make-index.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { featuresOf } from '../../src/weights/folder-features.ts'
import { sizedConfig } from '../../src/weights/image-size.ts'
import { findWeights, openEncoder } from '../../src/weights/open-encoder.ts'
import { sampleFolder, tinyConfig, workFolder } from '../run/tiny.ts'
import { expectClose, wave } from '../tolerance.ts'

let images = ''
beforeAll(async () => {
  images = await sampleFolder(10)
})

const learned = tinyConfig({ model: { positions: 'learned', registers: 2 } })
const request = { model: 'random', device: 'cpu', seed: 3, config: learned } as const

it('is written as a square, or as height and width', () => {
  expect([imageSize('224'), imageSize('224x448'), imageSize('14×28')]).toEqual([
    ...[
      [224, 224],
      [224, 448],
    ],
    [14, 28],
  ])
  for (const text of ['0', '224x', 'x224', '2.5', '1x2x3', '-224'])
    expect(() => imageSize(text)).toThrow('such as 224 or 224x448')
})

it('has to be a multiple of the patch: the nearest sizes are said', () => {
  const sized = (size: [number, number]) => () => sizedConfig(learned, size)
  expect(sized([18, 24])).toThrow('patches of this model are 4 × 4 pixels')
  expect(sized([18, 24])).toThrow('The nearest sizes are 16x24, 20x24.')
  expect(sized([3, 9])).toThrow('The nearest sizes are 4x8, 4x12.')
  expect(sized([16, 16])()).toBe(learned)
})

it('keeps the stored positions, and resamples them in the graph', async () => {
  const encoder = await openEncoder({ ...request, imageSize: [24, 8] })
  expect(encoder.config.model).toMatchObject({ imageSize: [24, 8], positionGrid: [4, 4] })
  const own = await openEncoder(request)
  expect(own.parameters.get('pos_embed')!.shape).toEqual(encoder.parameters.get('pos_embed')!.shape)
  noGrad(() =>
    scope(() => {
      const view = viewOf(tensor(wave(2 * 3 * 24 * 8), [2, 3, 24, 8]))
      const tokens = (shape: typeof own.shape) =>
        openBackbone(shape, 'cpu').encodeAll(view, weightsOf(own.parameters)).sequence
      expectClose(tokens(encoder.shape), tokens(backboneAt(own.shape, [24, 8])), 0)
    }),
  )
  const { features } = await featuresOf(encoder, images, { features: ['patches', 'layer:0'] })
  expect(features.of.get('patches')).toMatchObject({ width: 32, tokens: 12 })
  expect(features.of.get('patches')!.values).toHaveLength(10 * 12 * 32)
})

it('is that of an index, for what is added to it', async () => {
  const embedder = await openEmbedder('random', { ...request, imageSize: [16, 32] })
  expect(embedder.imageSize).toEqual([16, 32])
  expect((await openEmbedder('random', { ...request, imageSize: [16, 16] })).imageSize).toBeUndefined()
  const out = join(await workFolder(), 'index')
  await indexFolder(images, { ...embedder, sha256: 'a'.repeat(64) }, { out })
  const index = await openIndex(out)
  await index.close()
  expect(index.facts.source!.size).toEqual([16, 32])
  expect((await findWeights({ ...request, imageSize: [16, 32] })).imageSize).toEqual([16, 32])
})
