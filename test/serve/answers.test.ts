// What the server answers is what LibTorch and `sherd embed` compute of the same files.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeFeatures } from '../../src/evaluate/feature-file.ts'
import { writeMasks } from '../../src/evaluate/mask-files.ts'
import type { OpenedModel } from '../../src/export/export-onnx.ts'
import { graphs } from '../../src/export/graphs.ts'
import { readNpy } from '../../src/files/npy.ts'
import { onnxFeatures, openOnnxEncoder } from '../../src/infer/onnx-encoder.ts'
import { onnxSegmentation, openOnnxSegmenter } from '../../src/infer/onnx-segmenter.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { totalOf } from '../../src/objective/losses.ts'
import { readIndexMask } from '../../src/prepare/masks/index-mask.ts'
import { toView } from '../../src/prepare/normalize.ts'
import { loadExhibit, reconstructExhibit } from '../../src/run/pictures.ts'
import { indexFeatures } from '../../src/search/index-features.ts'
import type { Server } from '../../src/serve/serve.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item } from '../../src/tensor/tensor.ts'
import { featuresOf } from '../../src/weights/folder-features.ts'
import { valuesOf } from '../../src/weights/frozen-encoder.ts'
import { openFor } from '../../src/weights/open-encoder.ts'
import { from16Bits, scene, temporaryFolder } from '../prepare/decode/make-images.ts'
import { expectClose } from '../tolerance.ts'
import { bodyOf, classes, exportTiny, formOf, startServer, tinyModel } from './make-served.ts'

let [dir, exported] = ['', '']
let model: OpenedModel
let server: Server
const files = ['a.jpg', 'b.jpg', 'c.png', 'd.jpg', 'e.webp', 'f.jpg'] as const
const fileOf = (name: string) => readFileSync(join(dir, name))

beforeAll(async () => {
  dir = await temporaryFolder()
  const grey16 = Uint16Array.from({ length: 30 * 20 }, (_, i) => (i * 9973) % 65_536)
  const made = {
    'a.jpg': (await scene(300, 211, 1)).jpeg(), // decoded at a reduced size
    'b.jpg': (await scene(16, 16, 2)).jpeg(),
    'c.png': from16Bits(grey16, 30, 1).png(),
    'd.jpg': (await scene(40, 20, 3)).withMetadata({ orientation: 6 }).jpeg(),
    'e.webp': (await scene(64, 32, 4)).webp(),
    'f.jpg': (await scene(33, 44, 5)).toColourspace('cmyk').jpeg(),
  }
  for (const [name, image] of Object.entries(made)) writeFileSync(join(dir, name), await image.toBuffer())
  model = await tinyModel()
  exported = await exportTiny(model)
  server = await startServer({ model: exported })
})

const ask = (path: string, given: RequestInit, from: Server = server) => fetch(`${from.url}${path}`, given)
const askAll = (path: string) =>
  ask(path, formOf(Object.fromEntries(files.map((name) => [name, fileOf(name)]))))

interface Results<T> {
  readonly results: readonly (T & { name: string | null; error?: { code: string; message: string } })[]
}
const resultsOf = async <T>(response: Response): Promise<Results<T>['results']> => {
  expect(response.status).toBe(200)
  return ((await response.json()) as Results<T>).results
}

/** The pixels of all files as evaluation reads them. */
async function exhibit() {
  const source = await openFor(model, dir)
  expect(source.files).toEqual(files)
  return loadExhibit(model.config, source, files.length)
}

describe('embeddings', () => {
  it.each(['cls', 'mean', 'cls+mean'] as const)('are those of the folder, by %s', async (pool) => {
    const encoder = await openOnnxEncoder(join(exported, 'encoder.onnx'), { threads: 1 })
    const features = { features: [pool] }
    const [torch, onnx] = [await featuresOf(model, dir, features), await onnxFeatures(encoder, dir, features)]
    await encoder.session.close()

    const results = await resultsOf<{ embedding: number[] }>(
      await askAll(`/v1/embed?pool=${encodeURIComponent(pool)}`),
    )
    const found = Float32Array.from(results.flatMap(({ embedding }) => embedding))
    expect(results.map(({ name }) => name)).toEqual(files)
    expectClose(found, valuesOf(onnx.features, pool).values, 1e-6)
    expectClose(found, valuesOf(torch.features, pool).values, 1e-5)
  })

  it('are the same alone, as a body of any declared type, and as .npy', async () => {
    const [together] = await resultsOf<{ embedding: number[] }>(await askAll('/v1/embed'))
    for (const type of ['image/jpeg', 'image/png', 'application/octet-stream']) {
      const [alone] = await resultsOf<{ embedding: number[] }>(
        await ask('/v1/embed', bodyOf(fileOf('a.jpg'), type)),
      )
      expect(alone!.name).toBeNull()
      expectClose(Float32Array.from(alone!.embedding), Float32Array.from(together!.embedding), 1e-6)
    }
    const response = await askAll('/v1/embed?format=npy')
    expect(response.headers.get('content-type')).toBe('application/octet-stream')
    const path = join(await temporaryFolder(), 'features.npy')
    writeFileSync(path, Buffer.from(await response.arrayBuffer()))
    const { values } = readNpy(path, { dtype: /^<f4$/, shape: [6, 32] })
    const first = new Float32Array(values.buffer, values.byteOffset, 32)
    expectClose(first, Float32Array.from(together!.embedding), 1e-6)
  })

  it('of a form have the error of an image in its place, and others are computed', async () => {
    const form = formOf({
      'good.jpg': fileOf('b.jpg'),
      'bad.jpg': Buffer.from('no image'),
      'empty.jpg': Buffer.of(),
    })
    const [good, bad, empty] = await resultsOf<{ embedding: number[] }>(await ask('/v1/embed', form))
    expect(good!.embedding).toHaveLength(32)
    expect(bad!.error).toEqual({
      code: 'IMAGE',
      message:
        'the image cannot be used: expected a JPEG, PNG, WebP, TIFF, AVIF, GIF or BMP image, but the file starts with "no image"',
    })
    expect(empty!.error!.message).toContain('the image is empty')
    const rows = await ask(
      '/v1/embed?format=npy',
      formOf({ 'good.jpg': fileOf('b.jpg'), 'bad.jpg': Buffer.of(1) }),
    )
    expect([rows.status, await rows.json()]).toMatchObject([422, { error: { code: 'IMAGE' } }])
  })
})

it('classes are those of the classifier, the likeliest first', async () => {
  const { probabilities } = graphs.classifier.reference({ ...model, rasters: false }, ['probabilities'])(
    await exhibit(),
    {},
  )
  const results = await resultsOf<{ classes: { class: string; probability: number }[] }>(
    await askAll('/v1/classify?count=2'),
  )
  for (const [i, result] of results.entries()) {
    const expected = classes
      .map((name, c) => ({ class: name, probability: probabilities![3 * i + c]! }))
      .sort((a, b) => b.probability - a.probability)
      .slice(0, 2)
    expect(result.classes.map((each) => each.class)).toEqual(expected.map((each) => each.class))
    for (const [k, { probability }] of result.classes.entries())
      expect(probability).toBeCloseTo(expected[k]!.probability, 5)
  }
})

it('segments at the size of the model are the largest logit of every pixel', async () => {
  const { logits } = graphs.segmenter.reference({ ...model, rasters: false }, ['logits'])(await exhibit(), {})
  const response = await askAll('/v1/segment?size=model&format=npy')
  const path = join(await temporaryFolder(), 'labels.npy')
  writeFileSync(path, Buffer.from(await response.arrayBuffer()))
  const { values } = readNpy(path, { dtype: /^<i4$/, shape: [6, 16, 16] })
  const labels = new Int32Array(values.buffer, values.byteOffset, 6 * 256)
  for (const [i, label] of labels.entries()) {
    const [image, place] = [Math.floor(i / 256), i % 256]
    const row = [0, 1, 2].map((c) => logits![(image * 3 + c) * 256 + place]!)
    expect(row[label]).toBeCloseTo(Math.max(...row), 4)
  }
  const [first] = await resultsOf<{ classes: { class: string; label: number; share: number }[] }>(
    await askAll('/v1/segment?size=model'),
  )
  for (const { class: name, label, share } of first!.classes) {
    expect(name).toBe(classes[label])
    expect(share).toBe(labels.subarray(0, 256).filter((each) => each === label).length / 256)
  }
  const picture = await ask('/v1/segment?size=model&format=png', bodyOf(fileOf('a.jpg')))
  const { data, info } = await sharp(await picture.arrayBuffer())
    .raw()
    .toBuffer({ resolveWithObject: true })
  expect([info.width, info.height]).toEqual([16, 16])
  const red = [0, 128, 0] // bit 0 of a class's number is its red
  for (const [i, label] of labels.subarray(0, 256).entries()) expect(data[3 * i]).toBe(red[label])
})

it('segments are the masks that the folder gets, each as large as its image', async () => {
  const out = await temporaryFolder()
  const segmenter = await openOnnxSegmenter(join(exported, 'segmenter.onnx'), { threads: 1 })
  await writeMasks(out, await onnxSegmentation(segmenter, dir))
  await segmenter.session.close()
  for (const name of files) {
    const mask = await readIndexMask(join(out, 'masks', name.replace(/\..*$/, '.png')), 1e6)
    const { height, width } = mask
    const body = bodyOf(fileOf(name))
    const rows = Buffer.from(await (await ask('/v1/segment?format=npy', body)).arrayBuffer())
    const path = join(out, 'labels.npy')
    writeFileSync(path, rows)
    const { values } = readNpy(path, { dtype: /^<i4$/, shape: [1, height, width] })
    const labels = new Int32Array(values.buffer, values.byteOffset, height * width)
    expect([name, [...labels]]).toEqual([name, [...mask.indices]])
    const picture = await ask('/v1/segment?format=png', bodyOf(fileOf(name)))
    expect(await sharp(await picture.arrayBuffer()).metadata()).toMatchObject({ height, width })
  }
  const [first] = await resultsOf<{ height: number; width: number }>(await askAll('/v1/segment'))
  expect(first).toMatchObject({ height: 211, width: 300 })
  const mixed = await askAll('/v1/segment?format=npy')
  expect([mixed.status, await mixed.json()]).toMatchObject([
    400,
    { error: { code: 'QUERY', message: expect.stringContaining('the images are of 211 × 300, 16 × 16') } },
  ])
  const long = await (await scene(17 * 16, 16, 6)).png().toBuffer()
  const refused = await ask('/v1/segment', bodyOf(long, 'image/png'))
  expect([refused.status, await refused.json()]).toMatchObject([
    422,
    { error: { message: expect.stringContaining('272 × 16 pixels, 17 windows') } },
  ])
})

interface Rebuilt {
  psnr: number
  ssim: number
  loss: number
  hidden: number[]
  errors: number[]
}

describe('reconstructions', () => {
  it.each(['neighbours', 'true'] as const)('are those of LibTorch, statistics %s', async (statistics) => {
    const shown = await exhibit()
    const { objective, parameters } = model.autoencoder!
    const own = { ...model, objective, parameters }
    const { images } = reconstructExhibit(own, { ...shown, indices: files.map((_, i) => i) }, 7, {
      used: [statistics],
    })
    const results = await resultsOf<Rebuilt>(await askAll(`/v1/reconstruct?seed=7&statistics=${statistics}`))
    for (const [i, { psnr, ssim, hidden, errors, loss }] of results.entries()) {
      const { quality } = images[i]!.rebuilt[0]!
      expect(psnr).toBeCloseTo(quality.psnr, 3)
      expect(ssim).toBeCloseTo(quality.ssim, 4)
      expect([hidden.length, errors.length]).toEqual([12, 12])
      expect(loss).toBeCloseTo(errors.reduce((a, b) => a + b, 0) / 12, 6)
    }
    const expected = noGrad(() =>
      scope(() => {
        const batch = { image: toView(shown, model.statistics, 'cpu') }
        const samples = { epochs: new Int32Array(6), indices: files.map((_, i) => i) }
        return item(
          totalOf(objective.loss(weightsOf(parameters), batch, objective.plan({ seed: 7, samples }, batch))),
        )
      }),
    )
    expect(results.reduce((sum, { loss }) => sum + loss, 0) / 6).toBeCloseTo(expected, 4)
  })

  it('are seeded, and hide what they are asked to', async () => {
    const one = async (query: string) =>
      (await resultsOf<Rebuilt>(await ask(`/v1/reconstruct?${query}`, bodyOf(fileOf('b.jpg')))))[0]!
    expect((await one('seed=1')).hidden).toEqual((await one('seed=1')).hidden)
    expect((await one('seed=1')).hidden).not.toEqual((await one('seed=2')).hidden)
    expect((await one('ratio=0.5')).hidden).toHaveLength(8)
  })

  it('are drawn', async () => {
    const response = await askAll('/v1/reconstruct?format=png')
    expect(response.headers.get('content-type')).toBe('image/png')
    const { width, height } = await sharp(await response.arrayBuffer()).metadata()
    expect(width * height).toBeGreaterThan(6 * 3 * 112 * 112) // original, masked and rebuilt of six
    expect(Math.max(width, height)).toBeLessThan(2000)
  })

  it.each([
    ['statistics=raw', 'normalised targets predicts no raw pixels'],
    ['ratio=0.99', 'mask.ratio 0.99 of 16 patches keeps 0'],
    ['ratio=1', 'ratio must be < 1'],
    ['ratio=NaN', 'ratio must be number'],
    ['ratio=Infinity', 'mask.ratio Infinity of 16 patches'],
    ['seed=-1', 'seed must be >= 0'],
    ['seed=1.5', 'seed must be integer'],
    ['seed=9007199254740992', 'seed must be <= 9007199254740991'],
    ['seed=1&seed=2', 'seed must be integer'],
    ['statistics=mine', 'statistics must be equal to one of the allowed values: raw, neighbours, true'],
    ['sneed=1', 'there is no query "sneed" here'],
  ])('refuse %s', async (query, reason) => {
    const response = await ask(`/v1/reconstruct?${query}`, bodyOf(fileOf('b.jpg')))
    const { error } = (await response.json()) as { error: { code: string; message: string } }
    expect([response.status, error.code]).toEqual([400, 'QUERY'])
    expect(error.message).toContain(reason)
  })

  it('of a model of raw pixels use no statistics, and hide what its kind of mask does', async () => {
    const raw = await tinyModel({ target: { normalize: false }, mask: { kind: 'periphery' } })
    const other = await startServer({ model: await exportTiny(raw, ['autoencoder']) })
    const response = await ask('/v1/reconstruct', bodyOf(fileOf('b.jpg')), other)
    expect(await response.json()).toMatchObject({
      statistics: 'raw',
      results: [{ hidden: [0, 1, 2, 3, 4, 7, 8, 11, 12, 13, 14, 15] }], // all but the middle of 4 × 4
    })
    const refused = await ask('/v1/reconstruct?statistics=true', bodyOf(fileOf('b.jpg')), other)
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining('needs no')])
  })
})

it('neighbours are found in an index of the same encoder only', async () => {
  const [encoder, folder] = [
    await openOnnxEncoder(join(exported, 'encoder.onnx'), { threads: 1 }),
    await temporaryFolder(),
  ]
  const features = await onnxFeatures(encoder, dir)
  await encoder.session.close()
  const [npy, index] = [join(folder, 'features.npy'), join(folder, 'index')]
  writeFeatures(npy, features, { pooling: 'mean', model: encoder.origin })
  await indexFeatures(npy, { out: index })
  const searching = await startServer({ model: exported, index })
  const results = await resultsOf<{ neighbours: { file: string; similarity: number }[] }>(
    await ask(
      '/v1/neighbours?count=3',
      formOf(Object.fromEntries(files.map((name) => [name, fileOf(name)]))),
      searching,
    ),
  )
  for (const { name, neighbours } of results) {
    expect(neighbours).toHaveLength(3)
    expect(neighbours[0]!.file).toBe(name)
    expect(neighbours[0]!.similarity).toBeCloseTo(1, 5)
    expect(neighbours[1]!.similarity).toBeLessThanOrEqual(neighbours[0]!.similarity)
  }
  const withoutEncoder = join(exported, 'classifier.onnx')
  await expect(startServer({ model: withoutEncoder, index })).rejects.toThrow('--index needs the encoder')
})
