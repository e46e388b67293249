// What training sees must not depend on where images are kept: each row of data.cache beside reading them again.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { photometricRecipes } from '../../../src/prepare/augment/photometric-recipes.ts'
import { type CacheKind, caches } from '../../../src/prepare/cache/caches.ts'
import { type FeedRequest, openFeed } from '../../../src/prepare/cache/feed.ts'
import { holdImages } from '../../../src/prepare/cache/hold.ts'
import { type LoaderOptions, openLoader } from '../../../src/prepare/loader/loader.ts'
import { packImages } from '../../../src/prepare/pack/pack.ts'
import type { ViewSpecs } from '../../../src/prepare/view-spec.ts'
import { type ImageFolder, openImageFolder } from '../../../src/source/image-folder.ts'
import { fingerprint, openSource } from '../../../src/source/open.ts'
import type { PackedImages } from '../../../src/source/packed-images.ts'
import { liveTensors, scope } from '../../../src/tensor/scope.ts'
import { toFloats } from '../../../src/tensor/tensor.ts'
import { scene, temporaryFolder } from '../decode/make-images.ts'

const COUNT = 14
const BROKEN = 5
let folder: ImageFolder
let packed: PackedImages

beforeAll(async () => {
  const dir = await temporaryFolder()
  for (let i = 0; i < COUNT; i++) {
    const path = join(dir, `${String.fromCharCode(97 + i)}.${i % 2 ? 'png' : 'jpg'}`)
    if (i === BROKEN) writeFileSync(path, 'no image')
    else if (i % 2) await (await scene(32, 24, i)).png().toFile(path)
    else await (await scene(32, 24, i)).jpeg().toFile(path)
  }
  folder = await openImageFolder(dir)
  const out = join(await temporaryFolder(), 'packed')
  await packImages({ source: folder, out, version: '0', fileBytes: 9000, maxSkippedShare: 0.5 })
  packed = (await openSource(out)) as PackedImages
})

const image = { image: { kind: 'crop', count: 1, size: [16, 20] } } as const satisfies ViewSpecs
const several = {
  global: { kind: 'crop', count: 2, size: [40, 24], scale: [0.4, 1] }, // grows and shrinks
  local: { kind: 'crop', count: 3, size: [8, 8], scale: [0.05, 0.3] },
  whole: { kind: 'crop', count: 1, size: [5, 7], crop: 'center', flip: false },
} as const satisfies ViewSpecs

function request<V extends ViewSpecs>(views: V, changes: Partial<LoaderOptions> = {}): FeedRequest<V> {
  const channels = changes.channels ?? 3
  const loader: LoaderOptions = {
    ...{ source: folder, views, height: 16, width: 20, channels, crop: 'random', flip: true, seed: 7 },
    ...{ scale: [0.1, 1], ratio: [0.5, 2], minSide: 4, maxPixels: 1e6, maxSkippedShare: 0.5 },
    ...{ batchSize: 6, firstPosition: 0, decodeThreads: 2, prefetchBatches: 1, ...changes },
  }
  const statistics = { mean: [0.4, 0.5, 0.6].slice(0, channels), std: [0.2, 0.25, 0.3].slice(0, channels) }
  return { loader, views, statistics, device: 'cpu' }
}

/** Three batches, from which they were read, and what was skipped. */
async function batchesOf<V extends ViewSpecs>(cache: CacheKind, given: FeedRequest<V>) {
  const feed = await openFeed(cache, given)
  const loader = openLoader(feed.loader)
  const batches = []
  try {
    for (let i = 0; i < 3; i++) {
      const batch = await loader.next()
      const views = scope(() =>
        Object.fromEntries(
          Object.entries(feed.toViews(batch)).map(([name, { pixels, valid, times, resolution }]) => [
            name,
            { shape: pixels.shape, values: toFloats(pixels), valid, times, resolution },
          ]),
        ),
      )
      batches.push({ views, epochs: [...batch.epochs], indices: [...batch.indices], labels: batch.labels })
    }
    return { batches, skipped: loader.skipped }
  } finally {
    await loader.close()
    feed.close()
  }
}

const rows: Record<string, { views: ViewSpecs; changes?: () => Partial<LoaderOptions> }> = {
  'one crop of a folder': { views: image },
  'one crop of packed images': { views: image, changes: () => ({ source: packed }) },
  'from the middle on': { views: image, changes: () => ({ firstPosition: 19, seed: 8 }) },
  'several crops': { views: several },
  'several crops of packed images': { views: several, changes: () => ({ source: packed }) },
  'in luma': { views: image, changes: () => ({ channels: 1 }) },
  'by the bilinear kernel': { views: several, changes: () => ({ rules: { interpolation: 'bilinear' } }) },
}

describe('images held in memory, or on the device', () => {
  it.each(Object.keys(rows))('give the samples that are read again: %s', async (name) => {
    const { views, changes = () => ({}) } = rows[name]!
    const given = request(views, changes())
    const expected = await batchesOf('none', given)
    expect(expected.skipped.length).toBe(given.loader.source === folder ? 1 : 0)
    for (const cache of ['memory', 'device'] as const) expect(await batchesOf(cache, given)).toEqual(expected)
  })

  it('leave out those that are too small, as reading does', async () => {
    const given = request(image, { minSide: 25 })
    for (const cache of caches)
      await expect(batchesOf(cache, given)).rejects.toMatchObject({ code: 'DATA_BROKEN' })
  })
})

it('a folder without one image that can be used is an error in all', async () => {
  const dir = await temporaryFolder()
  for (const name of ['a.png', 'b.jpg']) writeFileSync(join(dir, name), 'no image')
  const given = request(image, { source: await openImageFolder(dir), maxSkippedShare: 1 })
  for (const cache of caches)
    await expect(batchesOf(cache, given)).rejects.toMatchObject({ code: 'DATA_BROKEN' })
})

describe('held images', () => {
  it('are the source that they were read from', async () => {
    const limits = { request: { maxPixels: 1e6 } }
    for (const source of [folder, packed]) {
      const held = await holdImages(source, limits)
      expect(fingerprint(held)).toBe(fingerprint(source))
      expect(held.files).toEqual(source.files)
    }
  })

  it('are refused where they do not fit, before they fill the memory', async () => {
    const bytes = (COUNT - 1) * 32 * 24 * 3
    for (const source of [folder, packed]) {
      const hold = (mostBytes: number) => holdImages(source, { request: { maxPixels: 1e6 }, mostBytes })
      await expect(hold(bytes)).resolves.toBeDefined()
      await expect(hold(bytes - 1)).rejects.toMatchObject({
        code: 'CONFIG',
        message: expect.stringMatching(/data\.cache .* 0\.0000300 GB, more than .* data\.cache=none/),
      })
    }
  })

  it('stop when they are asked to', async () => {
    const signal = AbortSignal.abort()
    for (const source of [folder, packed])
      await expect(holdImages(source, { request: { maxPixels: 1e6 }, signal })).rejects.toMatchObject({
        code: 'INTERRUPTED',
      })
  })
})

describe('images on the device', () => {
  it('have one size, or the error names two that differ', async () => {
    const dir = await temporaryFolder()
    for (const [i, height] of [32, 32, 30].entries())
      await (await scene(32, height, i)).png().toFile(join(dir, `${i}.png`))
    const source = await openImageFolder(dir)
    await expect(openFeed('device', request(image, { source }))).rejects.toMatchObject({
      code: 'CONFIG',
      message: expect.stringMatching(/0\.png has 32 x 32 pixels, but 2\.png 32 x 30.*data\.cache=memory/),
    })
  })

  it('keep their colours', async () => {
    const recipe = photometricRecipes.dino.local
    for (const given of [
      request(image, { photometric: recipe }),
      request({ image: { ...image.image, photometric: recipe } }),
    ])
      await expect(openFeed('device', given)).rejects.toMatchObject({
        code: 'CONFIG',
        message: expect.stringMatching(
          /data\.cache=device.*"image".*data\.cache=memory, or data\.photometric=null/,
        ),
      })
    const given = request(image, { photometric: recipe })
    expect(await batchesOf('memory', given)).toEqual(await batchesOf('none', given))
  })

  it('are freed when the feed is closed', async () => {
    const before = liveTensors()
    const feed = await openFeed('device', request(several))
    expect(liveTensors()).toBeGreaterThan(before)
    feed.close()
    expect(liveTensors()).toBe(before)
  })
})
