// Images that keep their shape (SigLIP 2's NaFlex), against what transformers makes of the same files.
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { indexSize } from '../../src/cli/search/index-options.ts'
import { inferenceOptions } from '../../src/config/assemble.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import type { SherdError } from '../../src/errors.ts'
import { sizeOfSample } from '../../src/prepare/fit.ts'
import { imagesInOrder } from '../../src/prepare/loader/in-order.ts'
import { packImages } from '../../src/prepare/pack/pack.ts'
import type { ImagePixels } from '../../src/prepare/pixels.ts'
import type { SkippedFile } from '../../src/prepare/skipped.ts'
import { embedFolder } from '../../src/search/embed-folder.ts'
import { embedFiles, openEmbedder } from '../../src/search/embedder.ts'
import { openIndex } from '../../src/search/index-folder.ts'
import { expectModel, indexFolder, updateIndex } from '../../src/search/make-index.ts'
import type { ImageFolder } from '../../src/source/image-folder.ts'
import { type ImageSource, openSource } from '../../src/source/open.ts'
import { featuresOfSource } from '../../src/weights/folder-features.ts'
import { valuesOf } from '../../src/weights/frozen-encoder.ts'
import { preparationText } from '../../src/weights/how-taken.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { workFolder } from '../run/tiny.ts'
import { expectClose } from '../tolerance.ts'
import { naflexFolder, naflexPictures, reference } from './naflex-pictures.ts'

const request = { model: naflexFolder, device: 'cpu' } as const
const within = (most: number) => openEncoder({ ...request, set: [`data.maxPatches=${most}`] })
type Encoder = Awaited<ReturnType<typeof within>>

/** The pictures under plain names, those that were read from shared/cases among them. */
let photos: ImageFolder
/** Their names in the reference, in the order of the folder. */
let names: string[] = []
beforeAll(async () => {
  const dir = await workFolder()
  const paths = await naflexPictures(await workFolder())
  for (const path of paths.values()) cpSync(path, join(dir, basename(path)))
  photos = (await openSource(dir, null)) as ImageFolder
  const byFile = new Map([...paths].map(([name, path]) => [basename(path), name]))
  names = photos.files.map((file) => byFile.get(file)!)
})

const pooled = async (encoder: Encoder, source: ImageSource, onSkip?: (file: SkippedFile) => void) => {
  const options = { features: ['pooled'] as const, ...(onSkip && { onSkip }) }
  const { features } = await featuresOfSource(encoder, source, options)
  const { width, values } = valuesOf(features, 'pooled')
  const rowAt = (row: number) => [...values.subarray(row * width, (row + 1) * width)]
  return new Map(Array.from(features.indices, (index, row) => [source.files[index]!, rowAt(row)]))
}

const cosine = (a: readonly number[], b: readonly number[]) => {
  const dot = (x: readonly number[], y: readonly number[]) =>
    x.reduce((sum, value, i) => sum + value * y[i]!, 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

/** Of each image, in the order of reading: its index, the grid of its pixels, and their checksum. */
async function samplesIn(encoder: Encoder, source: ImageSource, batchSize = 4, from = 0) {
  const options = {
    ...inferenceOptions(encoder.config, source, encoder.machine),
    batchSize,
    maxSkippedShare: 1,
  }
  const found: { index: number; grid: number[]; pixels: string }[] = []
  for await (const { indices, parts } of imagesInOrder(options, undefined, from)) {
    const batch: typeof found = []
    for (const { rows, samples } of parts) {
      const [, H, W, C] = samples.shape as ImagePixels['shape']
      for (const [i, row] of rows.entries()) {
        const bytes = samples.pixels.subarray(i * H * W * C, (i + 1) * H * W * C)
        const pixels = createHash('sha256').update(bytes).digest('hex').slice(0, 12)
        batch[row] = { index: indices[row]!, grid: [H / 8, W / 8], pixels }
      }
    }
    expect(batch).toHaveLength(indices.length)
    found.push(...batch)
  }
  return found
}

describe.each([24, 60])('within %i patches', (most) => {
  it('files have the pixels and the features that transformers makes of them', async () => {
    const encoder = await within(most)
    const samples = await samplesIn(encoder, photos)
    const features = await pooled(encoder, photos)
    expect(samples.map(({ index }) => index)).toEqual([...photos.files.keys()])
    for (const { index, grid, pixels } of samples) {
      const name = names[index]!
      const expected = reference.files[name]![most]!
      expect([name, grid, pixels]).toEqual([name, expected.grid, expected.pixels])
      const feature = features.get(photos.files[index]!)!
      expectClose(feature, expected.pillow, 5e-5)
      expect(cosine(feature, expected.feature)).toBeGreaterThan(0.9999)
    }
  })
})

describe('an image', () => {
  it('has the same feature alone, in another order and in other batches', async () => {
    const encoder = await within(24)
    const all = await pooled(encoder, photos)
    const turned = await pooled(encoder, { ...photos, files: [...photos.files].reverse() })
    for (const [file, feature] of all) expectClose(turned.get(file)!, feature, 1e-6)
    for (const file of ['wide.png', 'plain.jpg']) {
      const alone = await pooled(encoder, { ...photos, files: [file] })
      expectClose(alone.get(file)!, all.get(file)!, 1e-6)
    }
    const batches = await Promise.all([1, 3, 100].map((size) => samplesIn(encoder, photos, size)))
    for (const each of batches) expect(each).toEqual(batches[0])
  })

  it('that is broken is left out by name, and changes no other', async () => {
    const encoder = { ...(await within(24)), reading: { maxSkippedShare: 0.5 } }
    const dir = await workFolder()
    cpSync(photos.dir, dir, { recursive: true })
    writeFileSync(join(dir, 'ragged.png'), 'no image')
    writeFileSync(join(dir, 'pixel.png'), readFileSync(join(photos.dir, 'tiny.png')).subarray(0, 60))
    const skipped: string[] = []
    const found = await pooled(encoder, await openSource(dir, null), ({ file }) => skipped.push(file))
    expect(skipped.sort()).toEqual(['pixel.png', 'ragged.png'])
    const before = await pooled(encoder, photos)
    expect([...found.keys()]).toEqual([...before.keys()])
    for (const [file, feature] of before) expectClose(found.get(file)!, feature, 1e-6)
  })

  it('that no scale brings within the budget is refused', () => {
    const target = { width: 8, height: 8 }
    const fitting = { resize: 'patches', cropShare: 1, cutRule: 'before', isExact: false } as const
    const size = (width: number, most: number) =>
      sizeOfSample({ width, height: 8 }, target, { ...fitting, budget: { patch: [8, 8], most } })
    expect(size(640, 3)).toEqual({ width: 24, height: 8 })
    expect(() => size(3e7, 3)).toThrow('30000000 x 8 pixels cannot become 3 patches (data.maxPatches)')
  })

  it('is the same from packed images', async () => {
    const encoder = await within(24)
    const out = join(await workFolder(), 'pack')
    const made = ['tall.png', 'tiny.png', 'wide.png', 'square.png']
    const source = { ...photos, files: made }
    await packImages({ source, out, maxPixels: 1e8, version: 'test' })
    const [own, packed] = [
      await samplesIn(encoder, source),
      await samplesIn(encoder, await openSource(out, null)),
    ]
    expect(packed).toEqual(own)
  })
})

it('one size for all is what --image-size asks for, also that of the model', async () => {
  const sized = await openEncoder({ ...request, imageSize: [32, 32] })
  expect(sized.config.data).toMatchObject({ resize: 'squash' })
  expect(sized.notes!.at(-1)).toBe(
    'all images are squashed to 32 × 32 pixels, as was asked for (--image-size)',
  )
  expect((await samplesIn(sized, photos)).map(({ grid }) => grid)).toEqual(photos.files.map(() => [4, 4]))
  const wider = await openEncoder({ ...request, imageSize: [16, 64] })
  expect((await samplesIn(wider, photos)).map(({ grid }) => grid)).toEqual(photos.files.map(() => [2, 8]))
  const own = await openEncoder(request)
  expect(own.notes!.at(-1)).toContain('images keep their shape')
  expect(preparationText(own)).toMatch(/^each in its own shape within 24 patches, bilinear/)
})

it('the patches of images, of which each has others, need one size', async () => {
  const features = ['patches'] as const
  await expect(featuresOfSource(await openEncoder(request), photos, { features })).rejects.toThrow(
    'give one size for all, --image-size H[xW]',
  )
  const sized = await openEncoder({ ...request, imageSize: [16, 32] })
  const { features: found } = await featuresOfSource(sized, photos, { features })
  expect(valuesOf(found, 'patches').tokens).toBe(8)
})

it('whole images alone can keep their shape', () => {
  const data = { resize: 'patches', cropShare: 0.875 } as const
  expect(() => resolveConfig({ data })).toThrow('data.cropShare is 0.875: expected 1')
})

it('reading that is stopped continues to the same bytes', async () => {
  // Such a budget makes batches of 8.
  const embedder = await openEmbedder(naflexFolder, { device: 'cpu', set: ['data.maxPatches=1024'] })
  const dir = await workFolder()
  const stop = new AbortController()
  const seen: number[] = []
  const embed = (name: string, signal?: AbortSignal) =>
    embedFolder(photos.dir, embedder, {
      out: join(dir, name),
      onProgress: ({ done }) => {
        seen.push(done)
        if (done > 0) stop.abort()
      },
      ...(signal && { signal }),
    })
  const error = await embed('stopped.npy', stop.signal).catch((thrown: SherdError) => thrown)
  expect(error).toMatchObject({ code: 'INTERRUPTED', message: expect.stringContaining('8 of 10') })
  seen.length = 0
  await embed('stopped.npy')
  expect(seen).toEqual([8, 10])
  await embed('whole.npy')
  expect(readFileSync(join(dir, 'stopped.npy')).equals(readFileSync(join(dir, 'whole.npy')))).toBe(true)
})

it('an index says so, is searched and brought up to date so, and refuses other sizes', async () => {
  const embedder = await openEmbedder(naflexFolder, { device: 'cpu' })
  const dir = join(await workFolder(), 'photos')
  mkdirSync(dir)
  for (const file of ['wide.png', 'square.png']) cpSync(join(photos.dir, file), join(dir, file))
  const out = join(dir, '..', 'index')
  await indexFolder(dir, embedder, { out })
  cpSync(join(photos.dir, 'tall.png'), join(dir, 'tall.png'))
  const before = await openIndex(out)
  expect(before.facts.source).toMatchObject({ size: [32, 32], maxPatches: 24 })
  expect(await updateIndex(before, embedder)).toMatchObject({ embedded: 1 })
  await before.close()
  const index = await openIndex(out)
  const { values } = await embedFiles(
    embedder,
    index.images.map(({ file }) => join(dir, file)),
    'pooled',
  )
  for (const row of index.images.keys()) {
    const at = (all: Float32Array) => [...all.subarray(row * 32, (row + 1) * 32)]
    expect(cosine(at(index.vectors.values), at(values))).toBeGreaterThan(1 - 1e-6)
  }
  expect(indexSize(index, {})).toEqual({})
  expect(() => indexSize(index, { imageSize: [32, 32] })).toThrow('up to 24 patches')
  const sized = await openEmbedder(naflexFolder, { device: 'cpu', imageSize: [32, 32] })
  expect(() => expectModel(index, sized)).toThrow('would get images that all have one size')
  await index.close()
})
