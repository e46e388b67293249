import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../../../src/package-root.ts'
import { decodeImage } from '../../../src/prepare/decode/decode.ts'
import { type Loader, type LoaderOptions, openLoader } from '../../../src/prepare/loader/loader.ts'
import { type ImageFolder, openImageFolder } from '../../../src/source/image-folder.ts'
import { temporaryFolder, writeScenes } from '../decode/make-images.ts'

const FILES = 23
let source: ImageFolder
beforeAll(async () => {
  const dir = await temporaryFolder()
  await writeScenes(dir, { count: FILES, size: 24, name: (i) => `${'abc'[i % 3]}/${i}.jpg` })
  source = await openImageFolder(dir)
})

const open: Loader[] = []
afterEach(() => Promise.all(open.splice(0).map((loader) => loader.close())))

function load(changes: Partial<LoaderOptions> = {}, workerFile?: string): Loader {
  const options: LoaderOptions = {
    source,
    height: 16,
    width: 12,
    channels: 3,
    crop: 'random',
    scale: [0.2, 1],
    ratio: [3 / 4, 4 / 3],
    flip: true,
    seed: 11,
    batchSize: 5,
    firstPosition: 0,
    minSide: 4,
    maxPixels: 1e8,
    maxSkippedShare: 0.01,
    decodeThreads: 2,
    prefetchBatches: 2,
    ...changes,
  }
  const loader = openLoader(options, workerFile)
  open.push(loader)
  return loader
}

interface Sample {
  readonly epoch: number
  readonly index: number
  readonly label: number | null
  readonly pixels: string
}

/** The next samples of a loader, one by one, in the order of the stream. */
async function take(loader: Loader, samples: number): Promise<Sample[]> {
  const taken: Sample[] = []
  while (taken.length < samples) {
    const { fields, epochs, indices, labels, size } = await loader.next()
    const { data: pixels, shape } = fields.image!
    expect([shape, epochs.length, indices.length]).toEqual([[1, size, 16, 12, 3], size, size])
    for (let row = 0; row < size; row++)
      taken.push({
        epoch: epochs[row]!,
        index: indices[row]!,
        label: labels && labels[row]!,
        pixels: Buffer.from(pixels.subarray(row * 576, row * 576 + 576)).toString('base64'),
      })
  }
  return taken.slice(0, samples)
}

describe('openLoader', () => {
  it('gives every image once in each epoch, with its label, across epoch borders', async () => {
    const samples = await take(load(), 3 * FILES)
    for (let epoch = 0; epoch < 3; epoch++) {
      const of = samples.slice(epoch * FILES, (epoch + 1) * FILES)
      expect(of.every((sample) => sample.epoch === epoch)).toBe(true)
      expect(new Set(of.map((sample) => sample.index)).size).toBe(FILES)
    }
    for (const { index, label } of samples) expect(label).toBe('abc'.indexOf(source.files[index]![0]!))
    expect(new Set(samples.map((sample) => sample.pixels)).size).toBe(3 * FILES)
  })

  it('gives the same samples whatever the batch size, threads and prefetch', async () => {
    const expected = await take(load(), 60)
    for (const changes of [
      { batchSize: 1, decodeThreads: 1, prefetchBatches: 1 },
      { batchSize: 7, decodeThreads: 4, prefetchBatches: 3 },
      { batchSize: 60, decodeThreads: 3, prefetchBatches: 1 },
    ])
      expect(await take(load(changes), 60)).toEqual(expected)
    expect(await take(load({ seed: 12 }), 60)).not.toEqual(expected)
  })

  it('resumes exactly at a position', async () => {
    const expected = await take(load(), 60)
    for (const firstPosition of [5, 22, 46])
      expect(await take(load({ firstPosition, batchSize: 4 }), 60 - firstPosition)).toEqual(
        expected.slice(firstPosition),
      )
  })

  it('fills batches larger than the source', async () => {
    const batch = await load({ batchSize: 50 }).next()
    expect([...batch.epochs]).toEqual(Array.from({ length: 50 }, (_, i) => Math.floor(i / FILES)))
  })

  it('decodes what decode.ts decodes: unshuffled, centred, in luma', async () => {
    const loader = load({ crop: 'none', flip: false, shuffle: false, channels: 1, width: 48, batchSize: 3 })
    const { fields } = await loader.next()
    const target = { width: 48, height: 16 }
    const place = (image: { width: number; height: number }) => ({
      box: { left: 0, top: 0, ...image },
      flip: false,
    })
    const request = { target, channels: 1, minSide: 4, maxPixels: 1e8, place }
    const out = new Uint8Array(48 * 16)
    await decodeImage(join(source.dir, source.files[2]!), request, out)
    expect([...fields.image!.data.subarray(2 * 768)]).toEqual([...out])
  })

  it('has no labels where the source has none', async () => {
    expect((await load({ source: { ...source, classes: [], labels: null } }).next()).labels).toBeNull()
  })

  it('keeps a batch as it is until the next call', async () => {
    const loader = load({ prefetchBatches: 1, batchSize: 2 })
    const batch = await loader.next()
    const before = [...batch.fields.image!.data]
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect([...batch.fields.image!.data]).toEqual(before)
  })

  it.each([
    [{ batchSize: 0 }, /expected batchSize to be a whole number of at least 1, got 0/],
    [{ prefetchBatches: 0.5 }, /expected prefetchBatches/],
    [{ channels: 4 }, /expected channels to be 1 or 3 for image files, got 4/],
    [{ seed: -1 }, /expected seed/],
    [{ firstPosition: -1 }, /expected firstPosition/],
    [{ scale: [0, 1] as const }, /expected scale to be two increasing numbers in \(0, 1\], got 0,1/],
    [{ ratio: [2, 1] as const }, /expected ratio/],
    [{ maxSkippedShare: 2 }, /expected maxSkippedShare to be in \[0, 1\], got 2/],
  ])('refuses %o', (changes, message) => {
    expect(() => load(changes)).toThrow(message)
  })
})

describe('decoding ahead', () => {
  it('continues while the main thread is blocked, as far as prefetchBatches and no further', async () => {
    /** The batches that are there although this thread slept from the beginning and then took the files away; and the first error. */
    async function decodedWithin(milliseconds: number) {
      const dir = await temporaryFolder()
      await writeScenes(dir, { count: 12, size: 16 })
      const options = { shuffle: false, batchSize: 2, prefetchBatches: 3, maxSkippedShare: 0 }
      const loader = load({ ...options, source: await openImageFolder(dir) })
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
      rmSync(dir, { recursive: true })
      const batches: number[][] = []
      for (;;)
        try {
          batches.push([...(await loader.next()).indices])
        } catch (error) {
          return { batches, error }
        }
    }
    // Nothing says when the thread has done its part, and a busy machine may need long: it gets more and more time, but never this thread's help.
    let found = await decodedWithin(500)
    for (let time = 2000; found.batches.length < 3 && time < 200_000; time *= 4)
      found = await decodedWithin(time)
    expect(found.batches).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
    ])
    // The fourth and those behind it were not decoded. Which of them is missed first depends on how fast the credits come.
    expect(found.error).toMatchObject({
      code: 'DATA_BROKEN',
      message: expect.stringMatching(/1 of 12 images[\s\S]*0(?:0[6-9]|1[01])\.jpg: ENOENT/),
    })
  })
})

describe('files that cannot be decoded', () => {
  async function withBad(count: number, bad: Record<number, string | number>): Promise<ImageFolder> {
    const dir = await temporaryFolder()
    const pattern = await readFile(join(source.dir, source.files[0]!))
    for (let i = 0; i < count; i++) {
      const path = join(dir, `${String(i).padStart(3, '0')}.jpg`)
      const fault = bad[i]
      await writeFile(path, typeof fault === 'string' ? fault : pattern)
      if (typeof fault === 'number') await truncate(path, fault)
    }
    return openImageFolder(dir)
  }

  it('are skipped, reported once, and replaced by the same samples each time', async () => {
    const source = await withBad(200, { 17: 'no image at all', 80: 300 })
    const told: string[] = []
    const loader = load({ source, batchSize: 16, onSkip: ({ file }) => told.push(file) })
    const samples = await take(loader, 600)
    expect(told.toSorted()).toEqual(['017.jpg', '080.jpg'])
    expect(loader.skipped.toSorted((a, b) => a.file.localeCompare(b.file))).toMatchObject([
      { file: '017.jpg', reason: expect.stringMatching(/starts with "no image at all"/) },
      { file: '080.jpg', reason: expect.stringMatching(/premature end/) },
    ])
    expect(samples.some(({ index }) => index === 17 || index === 80)).toBe(false)
    for (let epoch = 0; epoch < 3; epoch++) {
      const indices = samples.filter((sample) => sample.epoch === epoch).map((sample) => sample.index)
      expect([indices.length, new Set(indices).size]).toEqual([200, 198])
    }
    expect(await take(load({ source, batchSize: 33, decodeThreads: 4 }), 600)).toEqual(samples)
    expect(await take(load({ source, firstPosition: 250 }), 350)).toEqual(samples.slice(250))
  })

  it('stop the run when they are too many, after the batches that were ready', async () => {
    const source = await withBad(100, { 3: 'x', 50: 'y', 51: 'z' })
    const loader = load({ source, batchSize: 10, shuffle: false })
    const first = await loader.next()
    expect(first.indices[3]).not.toBe(3)
    const run = async () => {
      for (;;) await loader.next()
    }
    await expect(run()).rejects.toMatchObject({
      code: 'DATA_BROKEN',
      message: expect.stringMatching(
        /^2 of 100 images \(2 %\) cannot be used\. At most 1 may be skipped [\s\S]*003\.jpg: expec/,
      ),
    })
    await expect(loader.next()).rejects.toMatchObject({ code: 'DATA_BROKEN' })
    expect(loader.skipped.length).toBe(2)
  })

  it('stop the run when they are all there is', async () => {
    const source = await withBad(3, { 0: 'x', 1: 'y', 2: 'z' })
    await expect(load({ source, maxSkippedShare: 1 }).next()).rejects.toThrow(/^3 of 3 images \(100 %\)/)
    const tooSmall = load({ source: await withBad(3, {}), minSide: 64 })
    await expect(tooSmall.next()).rejects.toThrow(/24 x 24 pixels are less than one patch of 64 x 64/)
  })

  it('pass on what onSkip throws', async () => {
    const source = await withBad(200, { 0: 'x' })
    const onSkip = () => {
      throw new Error('disk full')
    }
    const loader = load({ source, onSkip, shuffle: false, batchSize: 1, prefetchBatches: 1 })
    const run = async () => {
      for (;;) await loader.next()
    }
    await expect(run()).rejects.toThrow('disk full')
  })
})

describe('the decoding thread', () => {
  async function worker(program: string): Promise<string> {
    const file = join(await temporaryFolder(), 'worker.mjs')
    await writeFile(file, program)
    return file
  }

  it.each([
    ['throws', 'throw new Error("out of luck")', /The decoding thread failed: out of luck/],
    ['exits', 'process.exit(3)', /The decoding thread ended with code 3/],
    ['returns', '', /The decoding thread ended with code 0/],
  ])('that %s makes next() reject', async (_, program, message) => {
    const loader = load({}, await worker(program))
    await expect(loader.next()).rejects.toMatchObject({
      code: 'RUN',
      message: expect.stringMatching(message),
    })
    await expect(loader.next()).rejects.toMatchObject({ code: 'RUN' })
  })

  it('is ended by force when it does not answer', async () => {
    const loader = load({}, await worker('for (;;);'))
    const waiting = expect(loader.next()).rejects.toThrow(/closed while it waited/)
    await loader.close()
    await waiting
  })

  it('ends when the loader is closed, at any time, and a waiting call says so', async () => {
    const loader = load({ batchSize: 500 })
    const waiting = expect(loader.next()).rejects.toMatchObject({
      code: 'VALUE',
      message: expect.stringMatching(/closed while it waited/),
    })
    await Promise.all([loader.close(), loader.close()])
    await waiting
    await expect(loader.next()).rejects.toThrow(/this loader is closed/)
  })

  it('takes the next job when it has finished one, and only one waits for it', async () => {
    let started = 0
    const note = () => {
      started++
    }
    process.on('worker', note)
    try {
      const alone = load()
      const first = await take(alone, 12)
      await alone.close()
      started = 0
      const [one, two] = [load(), load({ seed: 8 })]
      const [same, others] = [await take(one, 12), await take(two, 12)]
      expect([same, started]).toEqual([first, 1])
      expect(others).not.toEqual(first)
      await Promise.all([one.close(), two.close()])
      const [later, more] = [load({ firstPosition: 4 }), load()]
      expect([await take(later, 8), await take(more, 12)]).toEqual([first.slice(4), first])
      expect(started).toBe(2)
    } finally {
      process.off('worker', note)
    }
  })

  it('serves one call at a time', async () => {
    const loader = load()
    const first = loader.next()
    await expect(loader.next()).rejects.toThrow(/the last call has not settled/)
    expect((await first).size).toBe(5)
  })

  it.each([
    ['closed', 'await loader.close()'],
    ['abandoned', ''],
    ['abandoned early', 'early'],
  ])('lets the process end when the loader is %s', async (_, ending) => {
    const at = (file: string) => pathToFileURL(join(packageRoot(), 'dist/src', file)).href
    const options = {
      height: 16,
      width: 16,
      channels: 3,
      crop: 'center',
      scale: [0.2, 1],
      ratio: [1, 1],
      flip: false,
    }
    const program = `
      import { openImageFolder } from '${at('source/image-folder.js')}'
      import { openLoader } from '${at('prepare/loader/loader.js')}'
      const source = await openImageFolder(${JSON.stringify(source.dir)})
      const options = ${JSON.stringify({ ...options, seed: 1, batchSize: 64, firstPosition: 0, minSide: 1 })}
      const more = { source, maxPixels: 1e8, maxSkippedShare: 0, decodeThreads: 4, prefetchBatches: 2 }
      const loader = openLoader({ ...options, ...more })
      ${ending === 'early' ? '' : `await loader.next(); ${ending}`}
      console.log('end')`
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [
      '--input-type=module',
      '-e',
      program,
    ])
    expect([stdout, stderr]).toEqual(['end\n', ''])
  })

  it('finishes the images in work before the process ends, since libvips must not answer a thread that is gone', async () => {
    const at = pathToFileURL(join(packageRoot(), 'dist/src/prepare/loader/ending.js')).href
    const thread = `
      const { parentPort, workerData } = require('node:worker_threads')
      void import(${JSON.stringify(at)}).then(async ({ counted }) => {
        const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
        const read = counted(async (name) => {
          parentPort.postMessage(name)
          await sleep(20)
          require('node:fs').writeSync(1, name)
        }, workerData)
        for (const name of ['first ', 'second ', 'third ']) await read(name)
      })`
    const program = `
      import { Worker } from 'node:worker_threads'
      import { endWith, newEnding } from '${at}'
      const ending = newEnding()
      endWith(ending)
      const worker = new Worker(${JSON.stringify(thread)}, { eval: true, execArgv: [], workerData: ending })
      worker.on('message', (name) => name === 'second ' && process.exit(3))`
    const child = promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
    await expect(child).rejects.toMatchObject({
      code: 3,
      stdout: expect.stringMatching(/^first second (third )?$/),
      stderr: '',
    })
  })
})
