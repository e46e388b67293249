// What a model makes of a folder can be stopped after any batch, and continues to the same bytes.
import {
  appendFileSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { SherdError } from '../../src/errors.ts'
import { openJournal } from '../../src/files/batch-journal.ts'
import { claimFeatures, claimIndex, claimUpdate } from '../../src/search/claim-index.ts'
import { type Classifier, classifyFolder } from '../../src/search/classify-folder.ts'
import { embedFolder } from '../../src/search/embed-folder.ts'
import { type Embedder, openEmbedder } from '../../src/search/embedder.ts'
import { openIndex } from '../../src/search/index-folder.ts'
import type { Progress } from '../../src/weights/folder-features.ts'
import { gathering } from '../../src/weights/folder-features.ts'
import { gatherLogits } from '../../src/weights/folder-logits.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { sampleFolder, tinyConfig, workFolder } from '../run/tiny.ts'

// Such images make batches of 32; the first one has a broken file.
const config = tinyConfig({ model: { imageSize: 64 } })
const request = { config, device: 'cpu', seed: 1 } as const
const COUNT = 70

let photos = ''
let embedder: Embedder
beforeAll(async () => {
  photos = await sampleFolder(COUNT)
  const [broken] = readdirSync(photos)
  writeFileSync(join(photos, broken!, 'broken.png'), 'no image')
  embedder = { ...(await openEmbedder('random', request)), sha256: 'a'.repeat(64) }
})

/** Aborts once so many images are done. */
function stoppingAt(images: number): { onProgress: Progress; signal: AbortSignal; seen: number[] } {
  const stop = new AbortController()
  const seen: number[] = []
  const onProgress: Progress = ({ done }) => {
    seen.push(done)
    if (done >= images) stop.abort()
  }
  return { onProgress, signal: stop.signal, seen }
}
const watching = () => stoppingAt(Number.POSITIVE_INFINITY)

async function stopped(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (thrown: SherdError) => thrown,
  )
  expect(error).toMatchObject({ code: 'INTERRUPTED' })
  return error!.message
}

describe('features', () => {
  it.each(['.npy', '.safetensors'])('in %s, stopped twice, are those of one reading', async (ending) => {
    const [whole, out] = await Promise.all([workFolder(), workFolder()]).then((dirs) =>
      dirs.map((dir) => join(dir, `photos${ending}`)),
    )
    const embed = (to: string, how: ReturnType<typeof stoppingAt>) =>
      embedFolder(photos, embedder, { out: to, ...how })
    const first = await embed(whole!, watching())
    expect(first.result).toMatchObject({ images: COUNT, width: 32 })
    expect(first.result.skipped).toHaveLength(1)
    expect(await stopped(embed(out!, stoppingAt(1)))).toBe(
      'Stopped after 31 of 71 images; the same command continues.',
    )
    expect(readdirSync(join(out!, '..'))).toEqual([`photos${ending}.partial`])
    // A crash in the middle of writing: the batch that was cut off is computed again.
    const journal = join(`${out}.partial`, 'batches')
    appendFileSync(journal, 'half a batch')
    const second = stoppingAt(40)
    expect(await stopped(embed(out!, second))).toContain('63 of 71')
    expect(second.seen).toEqual([31, 63])
    const third = watching()
    expect(await embed(out!, third)).toMatchObject({ result: first.result, wasThere: false })
    expect(third.seen).toEqual([63, 70])
    for (const name of [`photos${ending}`, 'photos.json'])
      expect(readFileSync(join(out!, '..', name)).equals(readFileSync(join(whole!, '..', name)))).toBe(true)
    expect(await embed(out!, watching())).toMatchObject({ result: first.result, wasThere: true })
    expect(readdirSync(join(out!, '..')).sort()).toEqual(
      [`.photos${ending}.made.json`, 'photos.json', `photos${ending}`].sort(),
    )
  })

  it('of other images, another model or another pooling are refused', async () => {
    const out = join(await workFolder(), 'photos.npy')
    const own = await sampleFolder(10)
    const embed = (more: Partial<Embedder>, name: 'cls' | 'mean' = 'mean') =>
      embedFolder(own, { ...embedder, ...more }, { out, features: [name] })
    await embed({})
    await expect(embed({}, 'cls')).rejects.toThrow('pooling: "mean" → "cls"')
    await expect(embed({ seal: 'b'.repeat(64) })).rejects.toThrow('model: others than then')
    await expect(embed({ reading: { maxPixels: 5000 } })).rejects.toThrow('maxPixels: not set → 5000')
    expect((await embed({ reading: { fileTimeout: 9 } })).wasThere).toBe(true)
    const [folder] = readdirSync(own)
    const [file] = readdirSync(join(own, folder!))
    utimesSync(join(own, folder!, file!), 9, 9)
    await expect(embed({})).rejects.toThrow('images: others than then, or changed since')
  })
})

describe('an index', () => {
  const filesOf = (dir: string) =>
    readdirSync(dir)
      .filter((name) => name !== 'made.json')
      .sort()
      .map((name) => [name, readFileSync(join(dir, name), 'latin1')])

  it('that was stopped is that of one reading, also when it is brought up to date', async () => {
    const own = await sampleFolder(COUNT)
    const [whole, out] = (await Promise.all([workFolder(), workFolder()])).map((dir) => join(dir, 'index'))
    const index = (to: string, how: ReturnType<typeof stoppingAt>) =>
      claimIndex(own, embedder, { out: to, kind: 'approximate', ...how })
    const first = watching()
    await index(whole!, first)
    expect(first.seen.slice(0, 2)).toEqual([0, 32]) // from nothing: the rate counts all
    await stopped(index(out!, stoppingAt(1)))
    expect(readdirSync(join(out!, '..'))).toEqual(['index.partial'])
    const next = watching()
    const { result } = await index(out!, next)
    expect(next.seen[0]).toBe(32)
    expect(filesOf(out!)).toEqual(filesOf(whole!))
    expect(await index(out!, watching())).toEqual({ result, wasThere: true })
    // Forty files change: two batches.
    const changed = readdirSync(own, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('g'))
      .slice(0, 40)
    for (const name of changed) utimesSync(join(own, name), 9, 9)
    const update = async (dir: string, how: ReturnType<typeof stoppingAt>) => {
      const before = await openIndex(dir)
      try {
        return await claimUpdate(before, embedder, how)
      } finally {
        await before.close()
      }
    }
    await update(whole!, watching())
    const old = filesOf(out!)
    await stopped(update(out!, stoppingAt(1)))
    expect(filesOf(out!)).toEqual(old)
    const last = watching()
    expect(await update(out!, last)).toMatchObject({ embedded: 40, removed: 0 })
    expect(last.seen).toEqual([32, 40])
    expect(filesOf(out!)).toEqual(filesOf(whole!))
    expect(readdirSync(join(out!, '..'))).toEqual(['index'])
    // It is now what a new index of the folder would be, and there is nothing to bring up to date.
    expect((await index(out!, watching())).wasThere).toBe(true)
    expect(await update(out!, watching())).toMatchObject({ embedded: 0 })
    expect(readdirSync(join(out!, '..'))).toEqual(['index'])
  })

  it('is replaced in place, and only on request', async () => {
    const dir = await workFolder()
    const out = join(dir, 'index')
    await embedFolder(photos, embedder, { out: join(dir, 'a.npy') })
    await claimFeatures(join(dir, 'a.npy'), { out })
    expect((await claimFeatures(join(dir, 'a.npy'), { out })).wasThere).toBe(true)
    await expect(claimIndex(photos, embedder, { out })).rejects.toThrow('images: others than then')
    rmSync(join(out, 'made.json')) // of an older version
    await expect(claimIndex(photos, embedder, { out })).rejects.toThrow('index is there already. Replace it')
    await claimIndex(photos, embedder, { out, overwrite: true })
    expect(
      readdirSync(out)
        .map((name) => name.replace(/-[0-9a-f]+/, ''))
        .sort(),
    ).toEqual([...['images.json', 'index.json', 'made.json', 'vectors.npy']])
  })
})

it('classes, stopped, are those of one reading', async () => {
  const encoder = await openEncoder({ model: 'random', ...request })
  const classifier: Classifier = {
    ...embedder,
    logits: (source, options) =>
      gatherLogits({
        ...{ source, classes: source.classes },
        reading: gathering(config, source, { ...options, decoding: encoder.machine, shape: encoder.shape }),
        logitsOf: ({ pixels, shape: [images] }) =>
          Float32Array.from({ length: images * source.classes.length }, (_, i) => Math.sin(i + pixels[0]!)),
      }),
  }
  const dir = await workFolder()
  const classify = (name: string, how: ReturnType<typeof stoppingAt>) =>
    classifyFolder(photos, classifier, { out: join(dir, name), ...how })
  const { result } = await classify('whole.csv', watching())
  expect(result).toMatchObject({ images: COUNT, classes: 10, agreement: { of: COUNT } })
  await stopped(classify('a.csv', stoppingAt(1)))
  const next = watching()
  expect(await classify('a.csv', next)).toEqual({ result, wasThere: false })
  expect(next.seen).toEqual([31, 63, 70])
  expect(readFileSync(join(dir, 'a.csv'), 'utf8')).toBe(readFileSync(join(dir, 'whole.csv'), 'utf8'))
  expect(await classify('a.csv', watching())).toEqual({ result, wasThere: true })
})

describe('a journal of batches', () => {
  it('gives back what was appended, up to the first batch that is not whole', async () => {
    const path = join(await workFolder(), 'batches')
    const first = openJournal<{ n: number }>(path)
    expect(first.entries).toEqual([])
    first.append({ n: 1 }, Float32Array.of(1.5, -2))
    first.append({ n: 2 }, Float32Array.of(Number.NaN))
    first.append({ n: 3 }, Uint16Array.of(65_535), Uint8Array.of(1, 2), Float32Array.of(), Uint8Array.of(7))
    first.close()
    const bytes = readFileSync(path)
    const read = () => {
      const journal = openJournal<{ n: number }>(path)
      const found = journal.entries.map(({ head, arrays }) => [
        head.n,
        ...arrays.flatMap((each) => [...each]),
      ])
      journal.close()
      return found
    }
    expect(read()).toEqual([
      [1, 1.5, -2],
      [2, Number.NaN],
      [3, 65_535, 1, 2, 7],
    ])
    truncateSync(path, bytes.length - 1)
    expect(read()).toEqual([
      [1, 1.5, -2],
      [2, Number.NaN],
    ])
    bytes[18]! ^= 1 // in the first head
    writeFileSync(path, bytes)
    expect(read()).toEqual([])
    expect(readFileSync(path)).toHaveLength(0)
  })
})
