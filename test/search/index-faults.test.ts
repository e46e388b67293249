// An index whose making ends, as by a kill, behind every call that changes a file and while its graph is built: what readers find then, and
// that the same command makes of it what it would have made at once.
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, it, vi } from 'vitest'
import { presetOf } from '../../src/config/presets.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import { claimIndex, claimUpdate } from '../../src/search/claim-index.ts'
import type { Embedder } from '../../src/search/embedder.ts'
import { openIndex } from '../../src/search/index-folder.ts'
import { searchIndex } from '../../src/search/search-index.ts'
import { eachBatch } from '../../src/weights/gather-rows.ts'
import { folderOfFile } from '../after-file.ts'

/** Calls since it was armed, and how many of them a process makes before it is no more. */
const life = vi.hoisted(() => ({ calls: 0, most: Number.POSITIVE_INFINITY }))

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  type Call = (...args: never[]) => unknown
  /** The last call is made by half, if it can be. */
  const mortal =
    (call: Call, half?: Call) =>
    (...args: never[]) => {
      if (++life.calls === life.most) half?.(...args)
      if (life.calls >= life.most) throw new Error('the process is no more')
      return call(...args)
    }
  const halfWritten = (path: string, data: string | Uint8Array, options?: object) =>
    fs.writeFileSync(path, data.slice(0, data.length >> 1), options)
  const faults = {
    ...Object.fromEntries(
      (['mkdirSync', 'renameSync', 'rmSync', 'rmdirSync', 'ftruncateSync'] as const).map((name) => [
        name,
        mortal(fs[name]),
      ]),
    ),
    writeFileSync: mortal(fs.writeFileSync, halfWritten),
    writeSync: mortal(
      fs.writeSync as Call,
      (fd: number, bytes: Uint8Array, offset = 0, length = bytes.length) =>
        fs.writeSync(fd, bytes, offset, length >> 1),
    ),
  }
  return { ...fs, ...faults, default: { ...fs, ...faults } }
})

/** Runs `work` in a process that makes so many calls at most. Whether it came to its end. */
async function living(most: number, work: () => Promise<unknown>): Promise<boolean> {
  Object.assign(life, { calls: 0, most })
  const error = await work().then(
    () => null,
    (thrown: Error) => thrown,
  )
  const hasEnded = life.calls < most
  Object.assign(life, { calls: 0, most: Number.POSITIVE_INFINITY })
  if (hasEnded && error) throw error
  return hasEnded
}

const NOBODY = 2 ** 30 // no system gives a process this id

/** Locks of this process are those of one that is no more. */
function leaveLocks(dir: string): void {
  const path = join(dir, 'index.partial/lock')
  if (!existsSync(path)) return
  try {
    const holder = JSON.parse(readFileSync(path, 'utf8')) as object
    writeFileSync(path, JSON.stringify({ ...holder, pid: NOBODY }))
  } catch {
    utimesSync(path, 1, 1) // written by half, and not just now
  }
}

let read: string[] = []
/** A file of four bytes is an image, and its bytes are its vector times `scale`; any other cannot be read. Four make a batch. */
function model({ scale = [1, 1, 1, 1], sha256 = 'a'.repeat(64) } = {}): Embedder {
  return {
    config: resolveConfig({
      ...presetOf('mae-tiny-cifar10').config,
      data: { kind: 'images', maxSkippedShare: 0.5 },
    }),
    ...{
      origin: { path: '/models/encoder.onnx', step: 7, precision: 'fp32' },
      sha256,
      seal: sha256,
      preparation: {},
      warnings: [],
    },
    ...{ bands: null, feature: 'mean', competing: ['mean'] },
    featureOf: (name) => ({ name, width: 4, tokens: 1 }),
    async features(source, { onSkip, journal, signal }) {
      const values: number[] = []
      const { indices, skipped, seconds } = await eachBatch<
        { indices: number[]; rows: number[] },
        [Float32Array]
      >({
        async *images(from, skip) {
          for (let first = from; first < source.files.length; first += 4) {
            const batch = { indices: [] as number[], rows: [] as number[] }
            for (const [i, file] of source.files.slice(first, first + 4).entries()) {
              const bytes = readFileSync(join(source.dir, file))
              read.push(file)
              if (bytes.length === 4) {
                batch.indices.push(first + i)
                batch.rows.push(...bytes)
              } else skip({ file, reason: 'it is broken' })
            }
            yield batch
          }
        },
        compute: ({ rows }) => [Float32Array.from(rows, (x, i) => x * scale[i % 4]!)],
        take: ([rows]) => values.push(...rows),
        limit: { files: source.files.length, maxShare: 0.5, corrupt: 'skip' },
        ...{ onSkip, journal, signal },
      })
      const mean = { width: 4, tokens: 1, values: Float32Array.from(values) }
      return {
        ...{ source, skipped, seconds },
        features: {
          ...{
            count: indices.length,
            indices: Int32Array.from(indices),
            of: new Map([['mean' as const, mean]]),
          },
        },
      }
    },
  }
}

let [dir, photos] = ['', '']
const put = (i: number, bytes: readonly number[], seconds = 9) => {
  const path = join(photos, `${String(i).padStart(2, '0')}.png`)
  writeFileSync(path, Uint8Array.from(bytes))
  utimesSync(path, seconds, seconds)
}
beforeEach(() => {
  dir = folderOfFile()
  photos = join(dir, 'photos')
  mkdirSync(photos)
  for (let i = 0; i < 12; i++) put(i, [1 + i, 12 - i, (7 * i) % 5, 3])
  put(5, [1]) // broken
})

const contentOf = (folder: string) =>
  readdirSync(folder)
    .sort()
    .map((name) => [name, readFileSync(join(folder, name), 'latin1')])

const known = new Map<string, string>()
/** Similarities to one vector, image by image; null without an index. The same files give the same ones. */
async function answerOf(out: string): Promise<string | null> {
  if (!existsSync(join(out, 'index.json'))) return null
  const files = JSON.stringify(contentOf(out))
  if (!known.has(files)) {
    const index = await openIndex(out) // compares every checksum
    const [found] = await searchIndex(index, Float32Array.of(5, 1, 1, 2), 20)
    await index.close()
    known.set(files, JSON.stringify(found))
  }
  return known.get(files)!
}

interface Ended {
  /** What a reader finds where the process ended. */
  readonly answer: string | null
  /** Files that the next process reads. */
  readonly read: number
}

/** Ends the making in one new folder after another, a call later each time, and makes it whole. */
async function endedEverywhere(
  prepare: (own: string) => void,
  make: (out: string) => Promise<unknown>,
  expected: unknown,
): Promise<Ended[]> {
  const found: Ended[] = []
  for (let most = 1; ; most++) {
    const own = join(dir, String(most))
    const out = join(own, 'index')
    prepare(own)
    if (await living(most, () => make(out))) return found
    leaveLocks(own)
    const answer = await answerOf(out)
    read = []
    await make(out)
    expect([most, contentOf(out)]).toEqual([most, expected])
    expect([most, readdirSync(own)]).toEqual([most, ['index']])
    found.push({ answer, read: read.length })
    rmSync(own, { recursive: true })
  }
}

const withoutRepetition = <T>(list: readonly T[]): T[] =>
  list.filter((each, i) => i === 0 || each !== list[i - 1])
/** How many files are still to be read, where the process has ended sooner or later: a batch less each time. */
const batches = (found: readonly Ended[]) => withoutRepetition(found.map(({ read }) => read)).join()
/** What readers find, in the same order. */
const answers = (found: readonly Ended[]) => withoutRepetition(found.map(({ answer }) => answer))

it('a first index is absent or whole, and continued to the same bytes', async () => {
  const make = (out: string) => claimIndex(photos, model(), { out, kind: 'approximate' })
  const whole = join(dir, 'whole/index')
  await make(whole)
  const found = await endedEverywhere((own) => mkdirSync(own), make, contentOf(whole))
  expect(batches(found)).toBe('12,8,4,0')
  expect(answers(found)).toEqual([null, await answerOf(whole)])
})

const changes: Readonly<Record<string, { readonly files: string; make: (out: string) => Promise<unknown> }>> =
  {
    'brought up to date': {
      files: '10,6,2,0,10,0', // what was whole and not moved yet is looked for once more
      async make(out) {
        const before = await openIndex(out)
        try {
          return await claimUpdate(before, model())
        } finally {
          await before.close()
        }
      },
    },
    'made again with another model': {
      files: '12,8,4,0,12', // where it was whole, it is asked for again
      make: (out) =>
        claimIndex(photos, model({ scale: [1, 3, 1, 1], sha256: 'b'.repeat(64) }), { out, overwrite: true }),
    },
  }

it.each(Object.keys(changes))(
  'an index that is %s answers as before until it answers as after',
  async (name) => {
    const { make, files } = changes[name]!
    const whole = join(dir, 'whole/index')
    const begin = (own: string) =>
      claimIndex(photos, model(), { out: join(own, 'index'), kind: 'approximate' })
    const before = join(dir, 'before')
    await begin(before)
    const old = await answerOf(join(before, 'index'))
    for (let i = 2; i < 12; i++) put(i, [3, i, 1, 12 - i], 10)
    cpSync(before, join(dir, 'whole'), { recursive: true })
    await make(whole)
    const found = await endedEverywhere(
      (own) => cpSync(before, own, { recursive: true }),
      make,
      contentOf(whole),
    )
    expect(batches(found)).toBe(files)
    expect(answers(found)).toEqual([old, await answerOf(whole)])
  },
)

it('a graph that is built by half is built again', async () => {
  const whole = join(dir, 'whole')
  await claimIndex(photos, model(), { out: whole, kind: 'approximate' })
  const out = join(dir, 'index')
  const make = (onGraph: (done: number) => void) =>
    claimIndex(photos, model(), { out, kind: 'approximate', onGraph })
  const onGraph = (done: number) => {
    if (done > 0) life.most = 1 // and now it is no more
    if (done > 0) writeFileSync(`${out}.partial/result/index/graph.usearch.${NOBODY}.writing`, '')
  }
  await expect(make(onGraph)).rejects.toThrow('the process is no more')
  life.most = Number.POSITIVE_INFINITY
  leaveLocks(dir)
  read = []
  await make(() => {})
  expect(read).toEqual([])
  expect(contentOf(out)).toEqual(contentOf(whole))
})
