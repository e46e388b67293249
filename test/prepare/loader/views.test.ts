/** What every view must be, whatever the source: a function of addresses, and each copy of itself alone. */
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { applySteps } from '../../../src/prepare/augment/operators.ts'
import { drawPhotometric } from '../../../src/prepare/augment/photometric.ts'
import { photometricRecipes } from '../../../src/prepare/augment/photometric-recipes.ts'
import {
  randAugment as changeByRandAugment,
  randAugmentDefaults,
} from '../../../src/prepare/augment/rand-augment.ts'
import { crops } from '../../../src/prepare/crop.ts'
import { tryDecode } from '../../../src/prepare/decode/decode.ts'
import { resample } from '../../../src/prepare/decode/resample-pixels.ts'
import type { RgbImage } from '../../../src/prepare/decode/resize.ts'
import type { FieldArray } from '../../../src/prepare/fields.ts'
import {
  type Batch,
  type Loader,
  type LoaderOptions,
  openLoader,
} from '../../../src/prepare/loader/loader.ts'
import { packImages } from '../../../src/prepare/pack/pack.ts'
import { pixelsOf, toViews } from '../../../src/prepare/upload.ts'
import type { ViewSpec, ViewSpecs } from '../../../src/prepare/view-spec.ts'
import { draws } from '../../../src/random/draws.ts'
import type { Size } from '../../../src/source/box.ts'
import { openImageFolder } from '../../../src/source/image-folder.ts'
import { openSource } from '../../../src/source/open.ts'
import { openRasterFolder } from '../../../src/source/raster/raster-folder.ts'
import { scope } from '../../../src/tensor/scope.ts'
import { rasterFolder, rasterOptions, tiff, utm } from '../../source/raster/make-rasters.ts'
import { numbers, wave } from '../../tolerance.ts'
import { scene, temporaryFolder } from '../decode/make-images.ts'

const seed = 11
const SAMPLES = 7
const sources: Record<'images' | 'packed' | 'placed' | 'rasters', () => LoaderOptions['source']> = {
  images: () => made.images,
  packed: () => made.packed,
  placed: () => made.placed,
  rasters: () => made.rasters,
}
type Kind = keyof typeof sources
const made = {} as Record<Kind, LoaderOptions['source']>

beforeAll(async () => {
  const dir = await temporaryFolder()
  for (let i = 0; i < SAMPLES; i++) {
    const image = await scene(160 + 8 * i, 200 - 4 * i, i)
    if (i % 2 === 0) await image.jpeg().toFile(join(dir, `${i}.jpg`))
    else await image.png().toFile(join(dir, `${i}.png`))
  }
  const folder = await openImageFolder(dir)
  made.images = folder
  const out = join(await temporaryFolder(), 'packed')
  await packImages({ source: folder, out, version: '0', channels: 3 })
  made.packed = await openSource(out)
  made.placed = { ...folder, kind: 'placed', size: { height: 200, width: 160 }, unusable: new Map() }
  const [height, width] = [30, 40]
  const files = Array.from({ length: SAMPLES }, (_, i) => {
    const values = wave(2 * height * width, i).map((x) => 100 + 50 * x)
    const value = (band: number, y: number, x: number) => values[(band * height + y) * width + x]!
    const descriptions = ['B2', 'B3']
    return [
      `${i}.tif`,
      tiff({ width, height, bands: 2, type: 'f4', value, descriptions, grid: utm }),
    ] as const
  })
  const rasters = await rasterFolder(Object.fromEntries(files))
  made.rasters = await openRasterFolder(rasters, rasterOptions)
})

const open: Loader[] = []
afterEach(() => Promise.all(open.splice(0).map((loader) => loader.close())))

function load(kind: Kind, changes: Partial<LoaderOptions>): Loader {
  const isRaster = kind === 'rasters'
  const loader = openLoader({
    ...{ source: sources[kind](), height: 16, width: 12, channels: isRaster ? 2 : 3, crop: 'random' },
    ...{ scale: [0.2, 1], ratio: [3 / 4, 4 / 3], flip: true, seed, batchSize: 4, firstPosition: 0 },
    ...{ minSide: 4, maxPixels: 1e8, maxSkippedShare: 0, decodeThreads: 2, prefetchBatches: 1 },
    ...{ frames: isRaster ? 1 : null, ...changes },
  })
  open.push(loader)
  return loader
}

/** Each sample of the stream: its address, and the values of every copy of every field. */
async function take(loader: Loader, count: number) {
  const taken: { epoch: number; index: number; copies: Record<string, number[][]> }[] = []
  while (taken.length < count) {
    const { size, fields, epochs, indices } = await loader.next()
    for (let b = 0; b < size; b++) {
      const copies = Object.entries(fields).map(([name, field]) => {
        const { data, shape } = field!
        const each = data.length / shape[0]! / size
        const of = (copy: number) => [
          ...data.subarray((copy * size + b) * each, (copy * size + b + 1) * each),
        ]
        return [name, Array.from({ length: shape[0]! }, (_, copy) => of(copy))]
      })
      taken.push({ epoch: epochs[b]!, index: indices[b]!, copies: Object.fromEntries(copies) })
    }
  }
  return taken.slice(0, count)
}

/** A new kind of view is one row: views of it for each kind of source that gives them. */
const kinds: Record<ViewSpec['kind'], Partial<Record<Kind, ViewSpecs>>> = {
  crop: {
    images: {
      global: { kind: 'crop', count: 2, size: [16, 12], photometric: photometricRecipes.dino.local },
      local: { kind: 'crop', count: 3, size: [8, 8], scale: [0.05, 0.2] },
    },
    packed: {
      global: { kind: 'crop', count: 2, size: [16, 12], photometric: photometricRecipes.dino.local },
      local: { kind: 'crop', count: 3, size: [8, 8], scale: [0.05, 0.2] },
    },
    rasters: {
      global: { kind: 'crop', count: 2, size: [16, 12] },
      local: { kind: 'crop', count: 3, size: [8, 8], scale: [0.05, 0.2] },
    },
  },
  placed: {
    placed: {
      global: { kind: 'placed', count: 2, size: [16, 12] },
      local: { kind: 'placed', count: 3, size: [8, 8], scale: [0.05, 0.2] },
    },
  },
}

describe.each(Object.values(kinds).flatMap((each) => Object.entries(each) as [Kind, ViewSpecs][]))(
  'views of %s',
  (kind, views) => {
    it('are the same whatever batch size, threads and where a run was resumed, and differ by copy', async () => {
      const expected = await take(load(kind, { views }), 12)
      for (const changes of [
        { batchSize: 1, decodeThreads: 1 },
        { batchSize: 12, decodeThreads: 3 },
      ])
        expect(await take(load(kind, { views, ...changes }), 12)).toEqual(expected)
      const resumed = await take(load(kind, { views, firstPosition: 5, batchSize: 3 }), 7)
      expect(resumed).toEqual(expected.slice(5))
      expect(await take(load(kind, { views, seed: 12 }), 12)).not.toEqual(expected)
      for (const { copies } of expected)
        for (const [name, { count }] of Object.entries(views)) {
          expect(new Set(copies[name]!.map((each) => each.join())).size).toBe(count)
        }
    })

    it('do not depend on the other views', async () => {
      const expected = await take(load(kind, { views }), 4)
      const { local } = await take(
        load(kind, { views: { local: views.local!, more: views.global! } }),
        4,
      ).then(([first]) => first!.copies)
      expect(local).toEqual(expected[0]!.copies.local)
    })
  },
)

/** The crop of one stream alone, from the image that was decoded for nothing else. */
async function alone(path: string, { index, epoch }: { index: number; epoch: number }, prefix: string) {
  let image: RgbImage | null = null
  const sample = (size: Size) => {
    image = { ...size, pixels: new Uint8Array(size.width * size.height * 3) }
    return { target: size, out: image.pixels, box: { left: 0, top: 0, ...size }, flip: false }
  }
  expect(
    await tryDecode(path, { minSide: 1, maxPixels: 1e8, channels: 3, isFullResolution: true, sample }),
  ).toBeNull()
  const target = { height: 16, width: 12 }
  const of = (stream: string) => draws({ seed, stream: `${prefix}${stream}`, epoch, index })
  const box = crops.random(image!, { target, scale: [0.2, 1], ratio: [3 / 4, 4 / 3] }, of('crop'))
  const out = new Uint8Array(16 * 12 * 3)
  resample(image!, { box, flip: of('flip').uniform() < 0.5 }, { target, channels: 3, out })
  return out
}

it.each(['images', 'packed'] as const)('a copy of %s is the crop of its stream alone', async (kind) => {
  const views = { pair: { kind: 'crop', count: 2, size: [16, 12] } } as const
  for (const { copies, ...address } of await take(load(kind, { views }), SAMPLES))
    for (const copy of [0, 1]) {
      const path = join(made.images.dir, made.images.files[address.index]!)
      expect(copies.pair![copy]).toEqual([...(await alone(path, address, `pair.${copy} `))])
    }
})

it('the only crop has the streams, the bytes and the path of a loader without views, whatever its name', async () => {
  for (const kind of ['images', 'packed', 'rasters'] as const) {
    const plain = await take(load(kind, {}), SAMPLES)
    const named = await take(
      load(kind, { views: { it: { kind: 'crop', count: 1, size: [16, 12] } } }),
      SAMPLES,
    )
    expect(named.map(({ copies }) => copies.it)).toEqual(plain.map(({ copies }) => copies.image))
  }
})

it('colours are changed on the decoding thread, by the recipe of each copy and the draws of its address', async () => {
  const { firstGlobal, secondGlobal } = photometricRecipes.dino
  const views = (photometric: readonly (typeof firstGlobal | typeof secondGlobal)[] | null): ViewSpecs => ({
    pair: { kind: 'crop', count: 2, size: [16, 12], photometric: photometric as never },
  })
  const [before, after] = [
    await take(load('images', { views: views(null), photometric: firstGlobal }), SAMPLES),
    await take(load('images', { views: views([firstGlobal, secondGlobal]) }), SAMPLES),
  ]
  for (const [i, { copies, epoch, index }] of before.entries())
    for (const [copy, recipe] of [firstGlobal, secondGlobal].entries()) {
      const steps = drawPhotometric(recipe, { seed, epoch, index, view: `pair.${copy}` })
      const pixels = Uint8Array.from(copies.pair![copy]!)
      const changed = applySteps({ height: 16, width: 12, pixels }, steps).pixels
      expect(after[i]!.copies.pair![copy]).toEqual([...changed])
    }
  expect(after).not.toEqual(before)
  const recoloured = await take(load('images', { photometric: secondGlobal }), SAMPLES)
  expect(recoloured).not.toEqual(await take(load('images', {}), SAMPLES))
})

it('RandAugment changes each crop by the draws of its address, and no luma', async () => {
  const views: ViewSpecs = { image: { kind: 'crop', count: 1, size: [16, 12] } }
  const randAugment = { magnitude: 9, fill: [10, 20, 30] }
  const [before, after] = [
    await take(load('packed', { views }), SAMPLES),
    await take(load('packed', { views, randAugment }), SAMPLES),
  ]
  for (const [i, { copies, epoch, index }] of before.entries()) {
    const pixels = Uint8Array.from(copies.image![0]!)
    const own = draws({ seed, stream: 'augment', epoch, index })
    changeByRandAugment({ height: 16, width: 12, pixels }, randAugmentDefaults, own, randAugment.fill)
    expect(after[i]!.copies.image![0]).toEqual([...pixels])
  }
  expect(after).not.toEqual(before)
  const grey = await take(load('packed', { channels: 1, randAugment }), 3)
  expect(grey).toEqual(await take(load('packed', { channels: 1 }), 3))
})

it('refuses to change the colours of anything but three channels of image files', () => {
  const photometric = photometricRecipes.dino.local
  expect(() => load('images', { channels: 1, photometric })).toThrow(/channels to be 3 of image files/)
  expect(() => load('rasters', { photometric })).toThrow(/channels to be 3 of image files/)
})

it('uploads copies one under the other, each with its resolution', async () => {
  const views = { pair: { kind: 'crop', count: 2, size: [16, 12] } } as const
  const batch: Batch = await load('rasters', { views }).next()
  const data = (name: string): FieldArray => batch.fields[name]!.data
  expect(batch.fields.pair!.shape).toEqual([2, 4, 1, 2, 16, 12])
  expect([...data('pair.resolution')].every((metres) => metres > 2 && metres < 40)).toBe(true)
  expect(new Set(data('pair.resolution')).size).toBeGreaterThan(4)
  expect(pixelsOf(batch.fields, 'pair').shape).toEqual([8, 1, 2, 16, 12])
  scope(() => {
    const statistics = { mean: [100, 100], std: [1, 1] }
    const { pair } = toViews(batch, views, { statistics, device: 'cpu' })
    expect(pair.pixels.shape).toEqual([8, 1, 2, 16, 12])
    expect(pair.resolution).toEqual(data('pair.resolution'))
    const values = numbers(pair.pixels)
    expect(values[100]).toBeCloseTo(data('pair')[100]! - 100, 3)
  })
  expect(() => pixelsOf(batch.fields)).toThrow(/has no field "image": it has pair, pair.times/)
})
