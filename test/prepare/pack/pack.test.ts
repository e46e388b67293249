import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { SherdError } from '../../../src/errors.ts'
import { pixelsAddon } from '../../../src/native/pixels-addon.ts'
import { holdImages } from '../../../src/prepare/cache/hold.ts'
import { type LoaderOptions, openLoader } from '../../../src/prepare/loader/loader.ts'
import { openReader } from '../../../src/prepare/open-reader.ts'
import { type PackOptions, packImages } from '../../../src/prepare/pack/pack.ts'
import { measureStatistics } from '../../../src/prepare/statistics.ts'
import { type ImageFolder, openImageFolder } from '../../../src/source/image-folder.ts'
import { fingerprint, type ImageSource, openSource } from '../../../src/source/open.ts'
import { checkPack, openPack, type PackedImages } from '../../../src/source/packed-images.ts'
import { descriptorsOf } from '../../files/descriptors.ts'
import { fromBytes, scene, temporaryFolder, writeScenes } from '../decode/make-images.ts'

vi.mock('../../../src/native/pixels-addon.ts', { spy: true })
vi.mock('node:os', { spy: true })
afterEach(() => vi.mocked(pixelsAddon).mockReset())

let source: ImageFolder
let whole: string
let packs = 0
let parent: string
const newPack = () => join(parent, String(packs++))
const pack = (changes: Partial<PackOptions> = {}) =>
  packImages({ source, out: newPack(), version: '1.2.3', ...changes })

beforeAll(async () => {
  const dir = await temporaryFolder()
  parent = await temporaryFolder()
  await writeScenes(dir, { count: 22, size: 40, name: (i) => `${'abc'[i % 3]}/${i}.jpg` })
  await (await scene(50, 30, 9)).png().toFile(join(dir, 'c/Grüße 😀.png'))
  source = await openImageFolder(dir)
  whole = (await pack({ fileBytes: 20_000 })).dir
})

async function samples(of: ImageSource, changes: Partial<LoaderOptions> = {}) {
  const loader = openLoader({
    source: of,
    ...{ height: 24, width: 20, channels: 3, crop: 'random', scale: [0.2, 1], ratio: [3 / 4, 4 / 3] },
    ...{ flip: true, seed: 3, batchSize: 10, firstPosition: 0, minSide: 4, maxPixels: 1e8 },
    ...{ maxSkippedShare: 0.5, decodeThreads: 2, prefetchBatches: 2 },
    ...changes,
  })
  const taken = []
  for (let i = 0; i < 5; i++) {
    const { fields, epochs, indices, labels } = await loader.next()
    taken.push([
      Buffer.from(fields.image!.data).toString('base64'),
      [...epochs],
      [...indices],
      labels && [...labels],
    ])
  }
  await loader.close()
  return { taken, skipped: loader.skipped.toSorted((a, b) => a.file.localeCompare(b.file)) }
}

describe('a packed folder', () => {
  it('is the source that was packed', () => {
    const packed = openPack(whole)
    expect(packed.files).toEqual(source.files)
    expect(packed.classes).toEqual(source.classes)
    expect(packed.labels).toEqual(source.labels)
    expect(packed.pack.files.length).toBeGreaterThan(3)
    expect(fingerprint(packed)).not.toBe(fingerprint(source))
  })

  it('trains on the same bytes as the folder, crop by crop', async () => {
    const packed = await openSource(whole)
    for (const changes of [{}, { channels: 1 }, { firstPosition: 17, batchSize: 7, decodeThreads: 3 }])
      expect(await samples(packed, changes)).toEqual(await samples(source, changes))
  })

  it('refuses and replaces images as the folder does', async () => {
    const limits = { minSide: 41, maxSkippedShare: 0.9 }
    const [fromPack, fromFolder] = [await samples(openPack(whole), limits), await samples(source, limits)]
    expect(fromPack.skipped.length).toBeGreaterThan(2)
    expect(fromPack).toEqual(fromFolder)
  })

  it('gives the same statistics', async () => {
    const size = { height: 24, width: 24, channels: 3, minSide: 1 }
    expect(await measureStatistics(openPack(whole), size)).toEqual(await measureStatistics(source, size))
  })

  it('gives the same pixels without the addon', async () => {
    for (const channels of [3, 1] as const) {
      const packed = openPack(channels === 3 ? whole : (await pack({ channels })).dir)
      const held = await holdImages(packed, { request: { maxPixels: 1e8 } })
      const read = async (packed: PackedImages) => {
        const out = new Uint8Array(4 * 12 * 12 * channels)
        const place = () => ({ box: { left: 3, top: 2, width: 21, height: 17 }, flip: true })
        const wanted = [0, 22, 5, 9].map((index, row) => ({ index, row, place }))
        const reader = openReader(packed, 2)
        const space = { target: { width: 12, height: 12 }, channels, out, minSide: 1, maxPixels: 1e8 }
        expect(await reader.read(wanted, space)).toEqual([null, null, null, null])
        reader.close()
        return out
      }
      const expected = await read(packed)
      expect(await read(held)).toEqual(expected)
      vi.mocked(pixelsAddon).mockReturnValue(null)
      for (const source of [packed, held]) expect(await read(source)).toEqual(expected)
      vi.mocked(pixelsAddon).mockReset()
    }
  })

  it('of luma gives no colours', async () => {
    const { dir } = await pack({ channels: 1, limit: 3 })
    await expect(samples(openPack(dir))).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringMatching(/1 channel, but 3 are wanted/),
    })
  })

  const numpy = spawnSync('/usr/bin/python3', ['-c', 'import numpy']).status === 0
  it.skipIf(!numpy)('is read by NumPy, mapped, without pickles', async () => {
    const { dir } = await pack({ shortSide: 32 })
    const program = `
import json, sys, hashlib, numpy as np
dir = sys.argv[1]
a = {name: np.load(f"{dir}/{name}.npy", mmap_mode="r", allow_pickle=False) for name in ["pixels", "offsets", "shapes", "labels", "names"]}
i = len(a["names"]) - 1
image = a["pixels"][a["offsets"][i]:a["offsets"][i + 1]].reshape(*a["shapes"][i], 3)
print(json.dumps({name: [str(v.dtype), v.shape] for name, v in a.items()} | {
  "name": bytes(a["names"][i]).decode(), "label": int(a["labels"][i]), "image": hashlib.sha256(image.tobytes()).hexdigest()}))`
    const told = spawnSync('/usr/bin/python3', ['-c', program, dir], { encoding: 'utf8' })
    expect(told.stderr).toBe('')
    const { pack: packed, files } = openPack(dir)
    expect(JSON.parse(told.stdout)).toMatchObject({
      pixels: ['uint8', [packed.offsets.at(-1)]],
      offsets: ['int64', [24]],
      shapes: ['int32', [23, 2]],
      labels: ['int32', [23]],
      name: files.at(-1),
      label: 2,
    })
    expect([...packed.shapes.subarray(-2)]).toEqual([30, 50]) // smaller ones stay
    expect([...packed.shapes.subarray(0, 2)]).toEqual([32, 32])
  })
})

describe('packImages', () => {
  it('leaves out what cannot be decoded, and says why', async () => {
    const dir = await temporaryFolder()
    cpSync(source.dir, dir, { recursive: true })
    writeFileSync(join(dir, 'b/1.jpg'), 'no image')
    const broken = await openImageFolder(dir)
    await expect(pack({ source: broken, maxSkippedShare: 0 })).rejects.toMatchObject({ code: 'DATA_BROKEN' })
    expect(readdirSync(parent).filter((name) => name.includes('packing'))).toEqual([])
    const told: string[] = []
    const summary = await pack({
      source: broken,
      maxSkippedShare: 0.1,
      onSkip: ({ file }) => told.push(file),
    })
    expect(told).toEqual(['b/1.jpg'])
    const listed = readFileSync(join(summary.dir, 'skipped.jsonl'), 'utf8')
    expect(JSON.parse(listed)).toMatchObject({
      file: 'b/1.jpg',
      reason: expect.stringMatching(/starts with "no image"/),
    })
    const packed = openPack(summary.dir)
    expect(packed.files).toEqual(source.files.filter((file) => file !== 'b/1.jpg'))
    expect([...packed.labels!]).toEqual(packed.files.map((file) => 'abc'.indexOf(file[0]!)))
  })

  it('has no labels where the source has none', async () => {
    const dir = await temporaryFolder()
    await fromBytes([1, 2, 3, 4, 5, 6], 2).png().toFile(join(dir, 'a.png'))
    const { dir: out, manifest } = await pack({ source: await openImageFolder(dir) })
    const packed = openPack(out)
    expect([packed.labels, packed.classes, packed.files]).toEqual([null, [], ['a.png']])
    expect(manifest).toMatchObject({ format: 'sherd-pack/1', sherd: '1.2.3', images: 1, shortSide: null })
    expect([...readFileSync(join(out, 'pixels.npy')).subarray(128)]).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('writes nothing into a folder that has something', async () => {
    await expect(pack({ out: source.dir, overwrite: true })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(/is no result of this command: it has a/),
    })
    const out = join(source.dir, 'a/0.jpg/below')
    await expect(pack({ out })).rejects.toMatchObject({ code: 'RUN' })
    expect(existsSync(out)).toBe(false)
  })
})

describe('packing that was stopped', () => {
  const filesOf = (dir: string) =>
    readdirSync(dir)
      .filter((name) => name !== 'made.json')
      .map((name) => [name, readFileSync(join(dir, name)).toString('base64')])
  /** Packs with a broken image, one image after the other, and stops behind some of them. */
  const step = (out: string, of: ImageFolder, stopAt: number, fileBytes: number) => {
    const stop = new AbortController()
    const seen: number[] = []
    const onProgress = (done: number) => {
      seen.push(done)
      if (done >= stopAt) stop.abort()
    }
    const packed = pack({ out, source: of, fileBytes, onProgress, signal: stop.signal, maxSkippedShare: 0.1 })
    return packed.then(
      ({ wasThere }) => ({ wasThere, seen }),
      (error: SherdError) => ({ code: error.code, seen, message: error.message }),
    )
  }
  let broken: ImageFolder
  beforeAll(async () => {
    vi.mocked(availableParallelism).mockReturnValue(1) // four together
    const dir = await temporaryFolder()
    cpSync(source.dir, dir, { recursive: true })
    writeFileSync(join(dir, 'a/3.jpg'), 'no image')
    broken = await openImageFolder(dir)
  })
  afterAll(() => {
    vi.mocked(availableParallelism).mockReset()
  })

  it.each([
    ['one file', 1e9],
    ['files of four images and one', 20_000],
    ['a file for each image', 10],
  ])('continues to the same bytes, with %s', async (_, fileBytes) => {
    const [out, one] = [newPack(), newPack()]
    await step(one, broken, 1e9, fileBytes)
    const first = await step(out, broken, 1, fileBytes)
    expect(first).toEqual({
      code: 'INTERRUPTED',
      message: 'Stopped after 4 of 23 images; the same command continues.',
      seen: [0, 4],
    })
    expect(existsSync(out)).toBe(false)
    expect(await step(out, broken, 12, fileBytes)).toMatchObject({
      ...{ code: 'INTERRUPTED', seen: [4, 8, 12] },
    })
    // Killed while it wrote: pixels that no part ends with.
    const dir = join(`${out}.partial`, 'result', basename(out))
    const last = readdirSync(dir).sort().at(-1)!
    appendFileSync(join(dir, last), 'half an image')
    const { seen, ...rest } = await step(out, broken, 1e9, fileBytes)
    expect(rest).toEqual({ wasThere: false })
    expect(seen).toEqual(fileBytes === 10 ? [11, 15, 19, 23] : [12, 16, 20, 23]) // a file that had ended is not whole
    expect(filesOf(out)).toEqual(filesOf(one))
    expect((await checkPack(out)).images).toBe(22)
    expect(await step(out, broken, 1e9, fileBytes)).toEqual({ wasThere: true, seen: [] })
    expect(existsSync(`${out}.partial`)).toBe(false)
  })

  it.each([
    ['1e9', 1e9, [0, 4, 8, 12, 16, 20, 23]],
    ['20,000', 20_000, null],
  ])('packs again what its hashes do not confirm, in files of %s bytes', async (_, fileBytes, seen) => {
    const [out, one] = [newPack(), newPack()]
    await step(one, broken, 1e9, fileBytes)
    await step(out, broken, 12, fileBytes)
    const path = join(`${out}.partial`, 'result', basename(out), 'pixels-00000.npy')
    const bytes = readFileSync(path)
    bytes[8000]! ^= 1 // in the second image
    writeFileSync(path, bytes)
    const next = await step(out, broken, 1e9, fileBytes)
    if (seen) expect(next.seen).toEqual(seen)
    expect(filesOf(out)).toEqual(filesOf(one))
  })

  it('keeps the old pack until the new one is whole, and refuses another one', async () => {
    const out = newPack()
    await pack({ out, limit: 9 })
    const old = filesOf(out)
    await expect(pack({ out, limit: 8 })).rejects.toThrow('limit: 9 → 8')
    const stop = new AbortController()
    const change = { out, limit: 8, overwrite: true, signal: stop.signal, onProgress: () => stop.abort() }
    await expect(pack(change)).rejects.toMatchObject({ code: 'INTERRUPTED' })
    expect(filesOf(out)).toEqual(old)
    expect((await pack({ out, limit: 8, overwrite: true })).manifest.images).toBe(8)
  })
})

describe('a packed folder that was damaged', () => {
  const manifestOf = (dir: string) => JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8'))
  const copy = () => {
    const dir = newPack()
    cpSync(whole, dir, { recursive: true })
    return dir
  }
  it('is found by its hashes', async () => {
    const dir = copy()
    expect((await checkPack(dir)).images).toBe(23)
    const path = join(dir, 'pixels-00001.npy')
    const bytes = readFileSync(path)
    bytes[5000]! ^= 1
    writeFileSync(path, bytes)
    await expect(checkPack(dir)).rejects.toThrow(/pixels-00001\.npy cannot be used: its SHA-256 is/)
  })

  const number = (dir: string, name: string, at: number, value: number) => {
    const bytes = readFileSync(join(dir, name))
    bytes.writeInt32LE(value, 128 + at * 4)
    writeFileSync(join(dir, name), bytes)
  }
  it.each<[string, (dir: string) => void, RegExp]>([
    [
      'a shorter file',
      (dir) => truncateSync(join(dir, 'pixels-00000.npy'), 9999),
      /pixels-00000\.npy.*do not make its 9999/,
    ],
    ['a negative shape', (dir) => number(dir, 'shapes.npy', 3, -5), /shapes\.npy.*image 1 is -5 x/],
    ['another shape', (dir) => number(dir, 'shapes.npy', 3, 5), /offsets\.npy.*offset 2 does not follow/],
    ['another offset', (dir) => number(dir, 'offsets.npy', 4, 1), /offsets\.npy.*offset 2/],
    ['a first offset', (dir) => number(dir, 'offsets.npy', 0, 1), /offsets\.npy.*first offset/],
    ['a strange label', (dir) => number(dir, 'labels.npy', 2, 3), /labels\.npy.*image 2 has the label 3/],
    ['no JSON', (dir) => writeFileSync(join(dir, 'manifest.json'), '{'), /manifest\.json/],
    [
      'another format',
      (dir) => writeFileSync(join(dir, 'manifest.json'), '{"format":"x"}'),
      /no manifest of this version/,
    ],
    [
      'a path that leads out',
      (dir) => {
        const manifest = manifestOf(dir)
        manifest.names.name = '../names.npy'
        writeFileSync(join(dir, 'manifest.json'), JSON.stringify(manifest))
      },
      /no manifest of this version/,
    ],
    [
      'fewer images',
      (dir) => writeFileSync(join(dir, 'manifest.json'), JSON.stringify({ ...manifestOf(dir), images: 22 })),
      /shapes\.npy.*expected .*of shape \(22,2\)/,
    ],
    [
      'a file of pixels less',
      (dir) => {
        const manifest = manifestOf(dir)
        manifest.pixels.pop()
        writeFileSync(join(dir, 'manifest.json'), JSON.stringify(manifest))
      },
      /manifest\.json.*its pixels are those of \d+ of 23/,
    ],
  ])('is refused: %s', (_, damage, message) => {
    const dir = copy()
    damage(dir)
    expect(() => openPack(dir)).toThrow(
      expect.objectContaining({ code: 'SOURCE', message: expect.stringMatching(message) }),
    )
  })

  it.skipIf(!existsSync('/proc/self/fd'))(
    'lets go of its files when it is closed, and not when garbage is collected',
    async () => {
      const source = openPack(whole)
      const target = { width: 4, height: 4 }
      const place = () => ({ box: { left: 0, top: 0, width: 2, height: 2 }, flip: false })
      for (let i = 0; i < 40; i++) {
        const reader = openReader(source, 1)
        const space = { target, channels: 3, minSide: 1, maxPixels: 1e6, out: new Uint8Array(48) }
        await reader.read([{ index: 0, row: 0, place }], space)
        reader.close()
      }
      await expect.poll(() => descriptorsOf(whole)).toBe(0)
    },
  )

  it('stops the run when it is cut while it is in use', async () => {
    const dir = copy()
    const packed: PackedImages = openPack(dir)
    truncateSync(join(dir, 'pixels-00000.npy'), 500)
    await expect(samples(packed)).rejects.toThrow()
  })
})
