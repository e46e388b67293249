// The index as a folder, with a model that takes the bytes of a file for its vector: what is embedded, and when, can be seen.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { preparationOf } from '../../src/config/preparation.ts'
import { presetOf } from '../../src/config/presets.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { SherdError } from '../../src/errors.ts'
import { npyHeader } from '../../src/files/npy.ts'
import { imagenetStatistics } from '../../src/prepare/normalize.ts'
import type { Embedder } from '../../src/search/embedder.ts'
import { indexFeatures } from '../../src/search/index-features.ts'
import { type ImageIndex, openIndex } from '../../src/search/index-folder.ts'
import { indexFolder, updateIndex } from '../../src/search/make-index.ts'
import { rowOfQuery, searchIndex } from '../../src/search/search-index.ts'
import { listenToNotes } from '../../src/source/notes.ts'
import { workFolder } from '../run/tiny.ts'

const embedded: string[] = []
const preset = presetOf('mae-tiny-cifar10').config
const prepared = preparationOf({ config: resolveConfig(preset), statistics: imagenetStatistics })

/** A file of four bytes is an image, and its bytes are its vector; any other cannot be read. */
function model({ sha256 = 'a'.repeat(64), maxSkippedShare = 0.5, preparation = prepared } = {}): Embedder {
  return {
    ...{ config: resolveConfig({ ...preset, data: { ...preset.data, maxSkippedShare } }), bands: null },
    ...{ origin: { path: '/models/encoder.onnx', step: 7, precision: 'fp32' }, sha256, warnings: [] },
    ...{ seal: sha256, preparation },
    ...{ feature: 'mean', competing: ['mean'] },
    featureOf: (name) => ({ name, width: 4, tokens: 1 }),
    async features(source, { onSkip }) {
      const indices: number[] = []
      const values: number[] = []
      for (const [i, file] of source.files.entries()) {
        const bytes = readFileSync(join(source.dir, file))
        embedded.push(file)
        if (bytes.length === 4) {
          indices.push(i)
          values.push(...bytes)
        } else onSkip?.({ file, reason: 'it is broken' })
      }
      if (indices.length === 0) throw new SherdError('DATA_BROKEN', 'nothing is left')
      const mean = { width: 4, tokens: 1, values: Float32Array.from(values) }
      const features = { count: indices.length, indices: Int32Array.from(indices) }
      return {
        source,
        features: { ...features, of: new Map([['mean' as const, mean]]) },
        skipped: [],
        seconds: 0,
      }
    },
  }
}

let [dir, photos, out] = ['', '', '']
const put = (file: string, ...bytes: number[]) => writeFileSync(join(photos, file), Uint8Array.from(bytes))
beforeEach(async () => {
  dir = await workFolder()
  ;[photos, out] = [join(dir, 'photos'), join(dir, 'index')]
  for (const folder of ['a', 'b']) mkdirSync(join(photos, folder), { recursive: true })
  put('a/1.png', 1, 0, 0, 0)
  put('a/2.png', 9, 1, 0, 0)
  put('b/3.png', 0, 0, 5, 5)
  embedded.length = 0
})
const make = () => indexFolder(photos, model(), { out })
const names = ({ images }: ImageIndex) => images.map(({ file, label }) => `${file} ${label}`)

describe('an index', () => {
  it('that is replaced while it is opened is the new one', async () => {
    await make()
    const before = readFileSync(join(out, 'index.json'), 'utf8')
    // Another index takes its place between the reading of index.json and that of the files it names.
    put('a/2.png', 2, 7, 0, 0)
    const other = join(dir, 'other')
    await indexFolder(photos, model(), { out: other })
    let isReplaced = false
    const index = await openIndex(out, {
      get exact() {
        if (!isReplaced) rmSync(out, { recursive: true })
        if (!isReplaced) renameSync(other, out)
        isReplaced = true
        return false
      },
    })
    expect(index.vectors.values[4]).toBeCloseTo(2 / Math.hypot(2, 7), 6)
    await index.close()
    expect(readFileSync(join(out, 'index.json'), 'utf8')).not.toBe(before)
  })

  it('holds vectors of length 1, names, classes and its model', async () => {
    await make()
    const index = await openIndex(out)
    expect(names(index)).toEqual(['a/1.png 0', 'a/2.png 0', 'b/3.png 1'])
    expect(index.facts).toMatchObject({
      ...{ count: 3, width: 4, pooling: 'mean', classes: ['a', 'b'], graph: null },
      model: { path: '/models/encoder.onnx', step: 7, sha256: 'a'.repeat(64) },
      source: { dir: photos, rasters: null, size: [32, 32] },
    })
    const half = Math.fround(Math.SQRT1_2)
    expect([...index.vectors.values.slice(8)]).toEqual([0, 0, half, half])
    await index.close()
  })

  it('is searched with any vector, one or several', async () => {
    await make()
    const index = await openIndex(out)
    const found = await searchIndex(index, Float32Array.of(0, 0, 3, 3, 1, 0, 0, 0), 2)
    expect(found[0]![0]).toEqual({ file: 'b/3.png', row: 2, similarity: expect.closeTo(1, 6) })
    expect(found[1]!.map(({ file }) => file)).toEqual(['a/1.png', 'a/2.png'])
    expect(found[1]![1]!.similarity).toBeCloseTo(9 / Math.sqrt(82), 6)

    await expect(searchIndex(index, new Float32Array(3), 1)).rejects.toThrow('the query has 3')
    await expect(searchIndex(index, new Float32Array(0), 1)).rejects.toThrow('the query has 0')
    await expect(searchIndex(index, new Float32Array(4), 1)).rejects.toThrow('query 1 is zero')
    await expect(searchIndex(index, Float32Array.of(1, Number.NaN, 0, 0), 1)).rejects.toThrow('not finite')
    await index.close()
  })

  it('knows its images by name and by path', async () => {
    await make()
    const index = await openIndex(out)
    expect(rowOfQuery(index, 'b/3.png')).toBe(2)
    expect(rowOfQuery(index, join(photos, 'a/2.png'))).toBe(1)
    expect(rowOfQuery(index, join(dir, 'a/2.png'))).toBeNull()
    await index.close()
  })

  it('with a graph finds the same', async () => {
    for (let i = 0; i < 60; i++) put(`b/x${i}.png`, i + 1, 60 - i, (i * 7) % 11, 3)
    await indexFolder(photos, model(), { out, kind: 'approximate' })
    const [approximate, exact] = [await openIndex(out), await openIndex(out, { exact: true })]
    expect([approximate.isExact, exact.isExact]).toEqual([false, true])
    expect(approximate.facts.graph!.recall).toBeGreaterThan(0.95)
    const query = Float32Array.of(5, 2, 1, 1)
    expect(await searchIndex(approximate, query, 5)).toEqual(await searchIndex(exact, query, 5))
    expect(readdirSync(out)).toHaveLength(4)
    await Promise.all([approximate.close(), exact.close()])
  })
})

describe('bringing it up to date', () => {
  const update = async (embedder = model()) => {
    const index = await openIndex(out)
    embedded.length = 0
    const { embedded: count, removed, skipped } = await updateIndex(index, embedder)
    await index.close()
    return { count, removed, skipped: skipped.map(({ file }) => file), files: [...embedded] }
  }
  const nothing = { count: 0, removed: 0, skipped: [], files: [] }

  it('embeds what is new or has changed, and drops what is gone', async () => {
    await make()
    expect(await update()).toEqual(nothing)

    put('a/0.png', 0, 1, 0, 0)
    put('b/3.png', 0, 0, 0, 8)
    utimesSync(join(photos, 'b/3.png'), 1, 1) // the size is the same
    rmSync(join(photos, 'a/1.png'))
    expect(await update()).toEqual({ ...nothing, count: 2, removed: 1, files: ['a/0.png', 'b/3.png'] })
    expect(await update()).toEqual(nothing)

    const index = await openIndex(out)
    expect(names(index)).toEqual(['a/0.png 0', 'a/2.png 0', 'b/3.png 1'])
    await indexFolder(photos, model(), { out: join(dir, 'new') })
    const made = await openIndex(join(dir, 'new'))
    expect([...index.vectors.values]).toEqual([...made.vectors.values])
    expect(readdirSync(out)).toHaveLength(3)
    await Promise.all([index.close(), made.close()])
  })

  it('tries a broken file once, until it changes', async () => {
    await make()
    put('a/bad.png', 1)
    expect(await update()).toEqual({ ...nothing, skipped: ['a/bad.png'], files: ['a/bad.png'] })
    expect(await update()).toEqual({ ...nothing, skipped: ['a/bad.png'] })
    put('a/bad.png', 1, 2, 3, 4)
    expect(await update()).toEqual({ ...nothing, count: 1, files: ['a/bad.png'] })
  })

  it('drops an image that has become broken', async () => {
    await make()
    put('a/1.png', 1)
    expect(await update()).toMatchObject({ count: 0, removed: 1, skipped: ['a/1.png'] })
    const index = await openIndex(out)
    expect(names(index)).toEqual(['a/2.png 0', 'b/3.png 1'])
    await index.close()
  })

  it('refuses when too much is broken, and another model; the index stays', async () => {
    await make()
    const before = readFileSync(join(out, 'index.json'), 'utf8')
    for (const file of ['a/1.png', 'a/2.png']) put(file, 1)
    await expect(update(model({ maxSkippedShare: 0.5 }))).rejects.toThrow('2 of 3 images')
    await expect(update(model({ sha256: 'b'.repeat(64) }))).rejects.toThrow('was made with another model')
    expect(readFileSync(join(out, 'index.json'), 'utf8')).toBe(before)
  })

  it('refuses images that are prepared otherwise, and says what is another; the index stays', async () => {
    await make()
    const before = readFileSync(join(out, 'index.json'), 'utf8')
    const config = resolveConfig({ ...preset, data: { resize: 'shortest', cropShare: 0.875 } } as ConfigInput)
    const halves = { mean: [0.5, 0.5, 0.5], std: imagenetStatistics.std }
    const preparation = preparationOf({ config, statistics: halves })
    await expect(update(model({ preparation }))).rejects.toThrow(
      `prepared otherwise than /models/encoder.onnx prepares them now:
  mean: [0.485,0.456,0.406] → [0.5,0.5,0.5]
  resize: "box" → "shortest"
  cropShare: not set → 0.875
  cutRule: not set → "before"
  inputSize: not set → null
Restore`,
    )
    await expect(update(model({ preparation: { ...prepared, rules: 2 } }))).rejects.toThrow(
      "sherd's own rules of preparing images: version 1 → 2",
    )
    expect(readFileSync(join(out, 'index.json'), 'utf8')).toBe(before)
    const told: string[] = []
    listenToNotes((note) => told.push(note))
    expect(await update()).toEqual(nothing)
    expect(told).toEqual([])
    // Of an earlier version: nothing is known.
    const { preparation: _, ...facts } = JSON.parse(before)
    writeFileSync(join(out, 'index.json'), JSON.stringify(facts))
    expect(await update(model({ preparation }))).toEqual(nothing)
    listenToNotes(() => {})
    expect(told).toEqual([expect.stringContaining('as /models/encoder.onnx prepares them now is assumed')])
  })
})

describe('the folder', () => {
  it('is refused when it is none, or a file of it has changed', async () => {
    await expect(openIndex(photos)).rejects.toThrow('is no index')
    await make()
    const [images] = readdirSync(out).filter((name) => name.startsWith('images'))
    const path = join(out, images!)
    const whole = readFileSync(path)
    writeFileSync(path, Buffer.concat([whole, Buffer.from(' ')]))
    await expect(openIndex(out)).rejects.toThrow(`${path} has ${whole.length + 1} bytes`)
    rmSync(path)
    await expect(openIndex(out)).rejects.toThrow('is missing')
    writeFileSync(join(out, 'index.json'), '{"format": "sherd-index/9"}')
    await expect(openIndex(out)).rejects.toThrow('damaged or not of this version')
  })

  it('with a damaged graph never reaches the library that would crash', async () => {
    await indexFolder(photos, model(), { out, kind: 'approximate' })
    const [graph] = readdirSync(out).filter((name) => name.startsWith('graph'))
    writeFileSync(join(out, graph!), 'no graph')
    await expect(openIndex(out)).rejects.toThrow('The index is damaged')
  })

  it('of something else is left alone, and an index is replaced', async () => {
    await expect(indexFolder(photos, model(), { out: photos })).rejects.toThrow('choose another folder')
    expect(embedded).toEqual([]) // before minutes are spent
    await make()
    rmSync(join(photos, 'a/1.png'))
    await make()
    expect(readdirSync(out)).toHaveLength(3)
  })

  it('holds the old index until the new one is whole, and loses what was left half done', async () => {
    await make()
    const forgotten = join(out, 'vectors.npy.12345.writing')
    const young = join(out, 'images.json.12345.writing')
    for (const path of [forgotten, young]) writeFileSync(path, 'half')
    utimesSync(forgotten, 1, 1)
    put('a/4.png', 4, 4, 4, 4)
    const index = await openIndex(out) // what another process has begun does not disturb
    await updateIndex(index, model())
    await index.close()
    expect([existsSync(forgotten), existsSync(young)]).toEqual([false, true])
  })
})

it('stays exact or approximate as it was made, until the other is asked for', async () => {
  await indexFolder(photos, model(), { out, kind: 'exact' })
  put('a/4.png', 4, 4, 4, 4)
  const searched = async (kind?: 'approximate') => {
    const index = await openIndex(out)
    const { facts } = await updateIndex(index, model(), kind ? { kind } : {})
    await index.close()
    return [facts.search, facts.graph !== null]
  }
  expect(await searched()).toEqual(['exact', false])
  expect(await searched('approximate')).toEqual(['approximate', true])
  put('a/5.png', 5, 4, 4, 4)
  expect(await searched()).toEqual(['approximate', true])
})

describe('an index of features', () => {
  const write = (name: string, values: number[], shape: readonly number[], dtype = '<f4') =>
    writeFileSync(
      join(dir, name),
      Buffer.concat([
        npyHeader({ dtype, shape }),
        Buffer.from((dtype === '<f8' ? Float64Array : Float32Array).from(values).buffer),
      ]),
    )
  const make = (name: string) => indexFeatures(join(dir, name), { out })

  it('takes the names beside them', async () => {
    write('f.npy', [2, 0, 0, 3], [2, 2])
    const told = {
      ...{ format: 'sherd-features/1', model: { path: '/m.onnx', step: null }, pooling: 'cls', dir: photos },
      ...{
        classes: ['a', 'b'],
        images: [
          { file: 'a/1.png', label: 0 },
          { file: 'b/3.png', label: 1 },
        ],
      },
    }
    writeFileSync(join(dir, 'f.json'), JSON.stringify(told))
    await make('f.npy')
    const index = await openIndex(out)
    expect(names(index)).toEqual(['a/1.png 0', 'b/3.png 1'])
    expect([index.facts.pooling, index.facts.model]).toEqual([
      'cls',
      { path: '/m.onnx', step: null, sha256: null },
    ])
    await expect(updateIndex(index, model())).rejects.toThrow('was made of features')
    await index.close()
  })

  it('of other programs numbers the rows, and takes float64', async () => {
    write('g.npy', [1, 0, 0, 1, 1, 1], [3, 2], '<f8')
    await make('g.npy')
    const index = await openIndex(out)
    expect(index.images.map(({ file }) => file)).toEqual(['row 0', 'row 1', 'row 2'])
    expect(await searchIndex(index, Float32Array.of(1, 0.1), 1)).toMatchObject([[{ file: 'row 0' }]])
    await index.close()
  })

  it.each<[string, () => void, string]>([
    ['NaN', () => write('x.npy', [1, 0, Number.NaN, 1], [2, 2]), 'The vector of row 1 in'],
    ['another shape', () => write('x.npy', [1, 2, 3, 4], [4]), 'expected a matrix'],
    ['integers', () => write('x.npy', [1, 2], [1, 2], '<i4'), 'expected a matrix [images, width] of float32'],
    ['a shorter file', () => write('x.npy', [1, 2, 3], [2, 2]), 'do not make its'],
    ['no rows', () => write('x.npy', [], [0, 2]), 'do not make its'],
    ['something else', () => writeFileSync(join(dir, 'x.npy'), 'hello'), 'it is no .npy file'],
    ['nothing', () => {}, 'there is no such file'],
  ])('refuses %s', async (_, prepare, message) => {
    prepare()
    await expect(make('x.npy')).rejects.toThrow(message)
    expect(existsSync(out)).toBe(false)
  })
})
