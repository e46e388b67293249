// Everything that writes, on a disk that takes no more from the k-th write on, for every k: the error says what is full and what to do, the old
// result stays, nothing half stands under a final name, and once there is room the same call makes what it would have made at once.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { saveCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { writeWeights } from '../../src/checkpoint/weights-file.ts'
import { SherdError } from '../../src/errors.ts'
import { writeFeatures } from '../../src/evaluate/feature-file.ts'
import { writeFolder } from '../../src/export/exported-model.ts'
import { openJournal } from '../../src/files/batch-journal.ts'
import { cannotWrite, isDiskFull } from '../../src/files/cannot-write.ts'
import { claimed } from '../../src/files/claim.ts'
import { writeWhole } from '../../src/files/write-whole.ts'
import { onnxParts, writeParts } from '../../src/onnx/onnx-file.ts'
import { initialState } from '../../src/optim/optimizer.ts'
import { packImages } from '../../src/prepare/pack/pack.ts'
import { appendMetric } from '../../src/run/journal.ts'
import { startTraceFile } from '../../src/run/trace-file.ts'
import { writeSatelliteData } from '../../src/sample-data/satellite/write-places.ts'
import { writeSampleData } from '../../src/sample-data/write-scenes.ts'
import { storeIndex } from '../../src/search/make-index.ts'
import { openImageFolder } from '../../src/source/image-folder.ts'
import { sampleFolder, workFolder } from '../run/tiny.ts'

const disk = vi.hoisted(() => ({
  /** Writes that it still takes. */
  left: Number.POSITIVE_INFINITY,
  isFull: () => --disk.left < 0,
  error: () => Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }),
}))

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const faults = {
    writeSync: (fd: number, bytes: Uint8Array | string, ...at: number[]) => {
      const write = fs.writeSync as (...args: unknown[]) => number
      if (!disk.isFull()) return write(fd, bytes, ...at)
      if (typeof bytes !== 'string') write(fd, bytes.subarray(at[0] ?? 0, (at[0] ?? 0) + (bytes.length >> 1)))
      throw disk.error()
    },
    writeFileSync: (path: number | string, data: string | Uint8Array, options: object) => {
      if (!disk.isFull()) return fs.writeFileSync(path, data, options)
      fs.writeFileSync(path, data.slice(0, data.length >> 1), options)
      throw disk.error()
    },
  }
  return { ...fs, ...faults, default: { ...fs, ...faults } }
})

vi.mock('node:fs/promises', async (original) => {
  const fs = await original<typeof import('node:fs/promises')>()
  const writeFile = async (path: string, data: string | Uint8Array) => {
    if (!disk.isFull()) return fs.writeFile(path, data)
    await fs.writeFile(path, data.slice(0, data.length >> 1))
    throw disk.error()
  }
  const open = async (...args: Parameters<typeof fs.open>) => {
    const handle = await fs.open(...args)
    const write = handle.write.bind(handle) as (...args: unknown[]) => Promise<unknown>
    const faulty = async (...given: unknown[]) => {
      if (disk.isFull()) throw disk.error()
      return write(...given)
    }
    return Object.assign(handle, { write: faulty })
  }
  return { ...fs, writeFile, open, default: { ...fs, writeFile, open } }
})

afterEach(() => {
  disk.left = Number.POSITIVE_INFINITY
})

const numbers = (shape: readonly number[]) => ({
  ...{ dtype: 'float32' as const, shape },
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i)),
})
const arrays = new Map([
  ['a', numbers([3, 5])],
  ['b', numbers([40])],
])
const features = {
  source: { kind: 'images', dir: '/photos', files: ['a.png', 'b.png'], classes: [], labels: null },
  features: {
    ...{ count: 2, indices: Int32Array.of(0, 1) },
    of: new Map(
      ['cls', 'mean'].map((name) => [name, { width: 4, tokens: null, values: numbers([2, 4]).data }]),
    ),
  },
  skipped: [],
} as unknown as Parameters<typeof writeFeatures>[1]
const about = { pooling: 'mean', model: { path: 'model', step: 1, precision: 'fp32' } } as const
const step = { kind: 'step', step: 1, loss: 0.5, parts: {}, metrics: {} } as unknown as Parameters<
  typeof appendMetric
>[1]
const training = {
  ...{ parameters: arrays, step: 4, samples: 8 },
  optimizer: initialState({ slots: [] }, new Map()),
} as unknown as Parameters<typeof saveCheckpoint>[1]

let photos = ''
beforeAll(async () => {
  photos = await sampleFolder(10)
})

interface Writer {
  /** Writes below a new folder. */
  readonly write: (dir: string) => unknown
  /** What readers take, of which nothing half may be there. */
  readonly results: readonly string[]
  /** Files that grow: what was in them stays, and a half line or entry is what their readers drop. */
  readonly grows?: true
}

const made = { command: 'test', options: {}, inputs: {} }
const vectors = { count: 3, width: 5, values: numbers([3, 5]).data }
const facts = {
  ...{ count: 3, width: 5, pooling: 'mean', classes: [], model: null, source: null },
} as const

const writeClaimed = (dir: string, name: string) =>
  claimed(
    { out: join(dir, name), also: [join(dir, 'a.json')], kind: 'file', made },
    async (draft) => void writeFeatures(draft.fileFor(), features, about),
  )

const writers: Record<string, Writer> = {
  'a text': { write: (dir) => writeWhole(join(dir, 'a.txt'), 'text\n'), results: ['a.txt'] },
  weights: {
    write: (dir) => writeWeights(join(dir, 'a.safetensors'), arrays, {}),
    results: ['a.safetensors'],
  },
  'features as .npy': {
    write: (dir) => writeClaimed(dir, 'a.npy'),
    results: ['a.npy', 'a.json'],
  },
  'features as .safetensors': {
    write: (dir) => writeClaimed(dir, 'a.safetensors'),
    results: ['a.safetensors', 'a.json'],
  },
  'a graph': {
    write: (dir) =>
      claimed({ out: join(dir, 'a.onnx'), kind: 'file', made }, async (draft) => {
        const graph = {
          name: 'a',
          opset: 17,
          nodes: [],
          initializers: [],
          inputs: [],
          outputs: [],
          values: [],
        }
        writeParts(draft.fileFor(), onnxParts(graph, {}, '0'))
      }),
    results: ['a.onnx'],
  },
  'a folder for other programs': {
    write: (dir) =>
      claimed({ out: join(dir, 'out'), kind: 'folder', made }, async (draft) =>
        writeFolder(draft.fileFor(), { arrays, json: { 'config.json': { a: 1 } }, card: '# card\n' }),
      ),
    results: ['out'],
  },
  'a checkpoint': {
    write: (dir) => saveCheckpoint(dir, training, { keep: 2 }),
    results: ['step-00000004'],
  },
  'an index': {
    write: (dir) =>
      storeIndex(join(dir, 'index'), {
        ...{ facts, vectors, skipped: [], images: ['a', 'b', 'c'].map((file) => ({ file })) },
      } as never),
    results: ['index/index.json'],
  },
  'packed images': {
    write: async (dir) =>
      packImages({
        source: await openImageFolder(photos),
        out: join(dir, 'pack'),
        version: '0',
        fileBytes: 3e4,
      }),
    results: ['pack'],
  },
  'sample images': {
    write: (dir) =>
      claimed({ out: join(dir, 'set'), kind: 'folder', made }, (draft) =>
        writeSampleData({ dir: draft.fileFor(), count: 10, size: 16, seed: 1 }),
      ),
    results: ['set'],
  },
  'satellite images': {
    write: (dir) =>
      claimed({ out: join(dir, 'set'), kind: 'folder', made }, (draft) =>
        writeSatelliteData({
          ...{ dir: draft.fileFor(), count: 8, size: 16, seed: 1, dates: 1, layout: 'stack', masks: true },
        }),
      ),
    results: ['set'],
  },
  'a journal of batches': {
    write: (dir) => {
      const journal = openJournal<number>(join(dir, 'batches'))
      try {
        for (let i = journal.entries.length; i < 3; i++) journal.append(i, Float32Array.of(i))
      } finally {
        journal.close()
      }
    },
    ...{ results: ['batches'], grows: true },
  },
  'metrics of a run': { write: (dir) => appendMetric(join(dir, 'm.jsonl'), step), results: [], grows: true },
  'a trace': { write: (dir) => startTraceFile(join(dir, 'trace.json'), []), results: ['trace.json'] },
}

const filesIn = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(dir, name)).isFile())
    .sort()
const contentOf = (dir: string) => filesIn(dir).map((name) => [name, readFileSync(join(dir, name), 'hex')])

async function failure(work: () => unknown): Promise<SherdError | null> {
  try {
    await work()
    return null
  } catch (error) {
    expect(error).toBeInstanceOf(SherdError)
    return error as SherdError
  }
}

describe.each(Object.entries(writers))('%s', (name, { write, results, grows }) => {
  it('on a disk that becomes full', async () => {
    const whole = await workFolder()
    await write(whole)
    // Records of claims and metrics say the time or the process.
    const steady = (all: string[][]) => all.filter(([file]) => !/made\.json$|^m\.jsonl$/.test(file!))
    const last = name.endsWith(' images') ? 4 : 12
    let failures = 0
    for (let k = 0; ; k++) {
      const dir = await workFolder()
      disk.left = k
      const error = await failure(() => write(dir))
      disk.left = Number.POSITIVE_INFINITY
      if (!error) break
      failures++
      expect(error.code).toBe('RUN')
      expect(error.message).toMatch(/^Cannot write .*the disk is full: .*free\. Make room, then /)
      if (!grows)
        for (const each of results) expect(existsSync(join(dir, each)), `${each} after ${k}`).toBe(false)
      expect(filesIn(dir).filter((file) => file.endsWith('.writing') || file.endsWith('lock'))).toEqual([])
      if (/Nothing is left/.test(error.message)) expect(filesIn(dir)).toEqual([])
      await write(dir)
      expect(steady(contentOf(dir))).toEqual(steady(contentOf(whole)))
      if (k === last) break
    }
    expect(failures).toBeGreaterThan(0)
  })
})

it('leaves the result that was there', async () => {
  const dir = await workFolder()
  writeWhole(join(dir, 'a.txt'), 'old')
  writeWeights(join(dir, 'a.safetensors'), new Map([['a', numbers([2])]]), {})
  const before = contentOf(dir)
  for (const write of [
    () => writeWhole(join(dir, 'a.txt'), 'new and longer'),
    () => writeWeights(join(dir, 'a.safetensors'), arrays, {}),
  ]) {
    disk.left = 0
    expect(await failure(write)).toMatchObject({ code: 'RUN' })
    disk.left = Number.POSITIVE_INFINITY
    expect(contentOf(dir)).toEqual(before)
  }
})

describe('the message', () => {
  it('says how much was needed, and keeps other reasons as they are', () => {
    disk.left = 0
    let message = ''
    try {
      writeWhole('/tmp/sherd-never', new Uint8Array(2_500_000))
    } catch (error) {
      ;({ message } = error as Error)
    }
    expect(message).toMatch(
      /^Cannot write \/tmp\/sherd-never: the disk is full: 2\.5 MB are needed, (?:[\d.]+ [kMG]B are|nothing is) free\. Make room, then run the same command again\.$/,
    )
    expect(cannotWrite('/tmp/a', new Error('EACCES: not allowed')).message).toBe(
      'Cannot write /tmp/a: EACCES: not allowed',
    )
    const quota = Object.assign(new Error('no'), { code: 'EDQUOT' })
    expect(cannotWrite('/tmp/a', quota).message).toContain('the quota of the disk is used up: ')
    expect(isDiskFull(new Error('write error\nsystem error: No space left on device'))).toBe(true)
    expect(isDiskFull(new SherdError('RUN', 'x', { cause: quota }))).toBe(true)
    expect(isDiskFull(new Error('EIO'))).toBe(false)
  })
})

// A disk that is really full, where this process may make one (root on Linux).
const isRoot = process.platform === 'linux' && process.getuid?.() === 0
describe.skipIf(!isRoot)('a file system of 1 MB (only root may mount one)', () => {
  it('that is full', async ({ skip }) => {
    const { spawnSync } = await import('node:child_process')
    const dir = join(await workFolder(), 'small')
    mkdirSync(dir)
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir])
    if (mounted.status !== 0) return skip('this root may not mount: a container without that right')
    try {
      writeFileSync(join(dir, 'other'), new Uint8Array(900_000))
      const error = await failure(() => writeWhole(join(dir, 'a'), new Uint8Array(500_000)))
      expect(error!.message).toMatch(
        /the disk is full: 500\.0 kB are needed, 14\d\.\d kB are free\. Make room/,
      )
      const request = { out: join(dir, 'out'), kind: 'file', made, continues: true } as const
      const kept = await failure(() =>
        claimed(request, async (draft) => {
          const journal = openJournal<number>(join(draft.dir, 'batches'))
          try {
            for (let i = 0; ; i++) journal.append(i, new Float32Array(10_000))
          } finally {
            journal.close()
          }
        }),
      )
      expect(kept!.message).toContain(`What is done is kept in ${dir}/out.partial.`)
      expect(openJournal(join(dir, 'out.partial/batches')).entries.length).toBe(3)
      expect(relative(dir, join(dir, 'other'))).toBe('other')
    } finally {
      spawnSync('umount', ['-l', dir])
    }
  })
})
