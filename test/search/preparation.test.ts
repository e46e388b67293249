// What an index, a claim and an adapter know of the preparation of images: what stands beside the weights of a published encoder.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { adaptersOf } from '../../src/model/adapt.ts'
import { packageRoot } from '../../src/package-root.ts'
import { openEmbedder } from '../../src/search/embedder.ts'
import { expectModel } from '../../src/search/make-index.ts'
import { ones } from '../../src/tensor/ops.ts'
import { sealOfModel, sealOfWeights } from '../../src/weights/found-weights.ts'
import { findWeights, openEncoder } from '../../src/weights/open-encoder.ts'
import { saveAdapter } from '../../src/weights/save-adapter.ts'
import { workFolder } from '../run/tiny.ts'

const layout = join(packageRoot(), '../shared/reference/layouts/dinov2')
let model: string
beforeAll(async () => {
  model = join(await workFolder(), 'dinov2')
  cpSync(layout, model, { recursive: true })
})
const processor = () => join(model, 'preprocessor_config.json')
const saying = (more: object) => {
  const own = JSON.parse(readFileSync(join(layout, 'preprocessor_config.json'), 'utf8'))
  writeFileSync(processor(), JSON.stringify({ ...own, ...more }))
}

it.each([
  ['image_std', { image_std: [0.5, 0.25, 0.5] }, 'std: [0.229,0.224,0.225] → [0.5,0.25,0.5]'],
  ['do_normalize', { do_normalize: false }, 'mean: [0.485,0.456,0.406] → [0,0,0]'],
  ['size', { size: { shortest_edge: 60 } }, 'cropShare: 0.875 → 0.7'],
  ['resample', { resample: 2 }, 'interpolation: "bicubic" → "bilinear"'],
  ['do_resize', { size: { height: 42, width: 42 }, do_center_crop: false }, 'resize: "shortest" → "squash"'],
  [
    'do_convert_rgb',
    { image_processor_type: 'ViTImageProcessor', size: { height: 42, width: 42 } },
    'resize: ',
  ],
])('another %s beside the same weights', async (_, more, line) => {
  saying({})
  const before = await openEmbedder(model, { device: 'cpu' })
  const claimed = await findWeights({ model })
  saying(more)
  const now = await openEmbedder(model, { device: 'cpu' })
  const found = await findWeights({ model })
  expect(now.sha256).toBe(before.sha256)
  expect(sealOfWeights(found)).toBe(sealOfWeights(claimed))
  expect(now.seal).not.toBe(before.seal)
  expect([before.seal, now.seal]).toEqual([sealOfModel(claimed), sealOfModel(found)])
  const { origin, sha256, preparation } = before
  const facts = { model: { ...origin, sha256 }, source: null, preparation } as never
  expect(() => expectModel({ dir: 'photos.index', facts }, before)).not.toThrow()
  expect(() => expectModel({ dir: 'photos.index', facts }, now)).toThrow(line)
})

it('the same in other words is the same', async () => {
  saying({})
  const before = await openEmbedder(model, { device: 'cpu' })
  saying({
    image_processor_type: 'BitImageProcessorFast',
    resample: 3,
    do_rescale: true,
    rescale_factor: 1 / 255,
  })
  const now = await openEmbedder(model, { device: 'cpu', imageSize: [42, 42] })
  expect(now.preparation).toEqual(before.preparation)
  expect(now.seal).toBe(before.seal)
})

it('another size of the images is none of the model, and another index', async () => {
  saying({})
  const [own, larger] = [await openEmbedder(model), await openEmbedder(model, { imageSize: [56, 56] })]
  expect(larger.seal).toBe(own.seal)
  const { origin, sha256, preparation } = own
  const facts = { model: { ...origin, sha256 }, source: null, preparation } as never
  expect(() => expectModel({ dir: 'photos.index', facts }, larger)).toThrow('imageSize: [42,42] → [56,56]')
})

it('an adapter is refused on a base that prepares images otherwise', async () => {
  saying({})
  const base = await openEncoder({ model, device: 'cpu' })
  const dir = join(await workFolder(), 'adapter')
  const [a, b] = adaptersOf('blocks.0.attn.qkv.weight') as [string, string]
  const { width } = base.dimensions
  const learned = new Map([
    [a, ones([2, width])],
    [b, ones([3 * width, 2])],
  ])
  const adapt = { kind: 'lora', rank: 2, alpha: 4, targets: ['qkv'] } as const
  saveAdapter(join(dir, 'adapter_model.safetensors'), base, { adapt, learned })
  expect((await findWeights({ model: dir })).notes?.at(-1)).toContain('added to 3 linear maps') // q, k and v
  saying({ image_mean: [0.5, 0.5, 0.5] })
  await expect(findWeights({ model: dir })).rejects.toThrow(
    /it was trained on images that were prepared otherwise than .* has them now:\n {2}mean: \[0\.485,0\.456,0\.406\] → \[0\.5,0\.5,0\.5\]\n/,
  )
})
