import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type StoredArray, toFloat32 } from '../../src/checkpoint/arrays.ts'
import { writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { fromFloat16 } from '../../src/files/float16.ts'
import { openForeign } from '../../src/import/foreign.ts'
import { examinePositions } from '../../src/import/foreign-positions.ts'
import { packageRoot } from '../../src/package-root.ts'
import { sineCosinePositions } from '../../src/token/position.ts'

const fixtures = join(packageRoot(), 'test/fixtures/weights')
const work = mkdtempSync(join(tmpdir(), 'sherd-foreign-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const one = (value: number): StoredArray => ({
  ...{ dtype: 'float32', shape: [1] },
  data: Float32Array.of(value),
})
const folder = (name: string, files: Readonly<Record<string, Readonly<Record<string, number>>>>): string => {
  const dir = join(work, name)
  mkdirSync(dir)
  for (const [file, values] of Object.entries(files))
    writeSafetensors(
      join(dir, file),
      new Map(Object.entries(values).map(([key, value]) => [key, one(value)])),
    )
  return dir
}

describe('weights of other programs', () => {
  it('are found in several files by their index', async () => {
    const dir = folder('parts', { 'm-1.safetensors': { a: 1 }, 'm-2.safetensors': { b: 2 } })
    const index = { weight_map: { a: 'm-1.safetensors', b: 'm-2.safetensors' } }
    writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify(index))
    const opened = await openForeign(dir)
    expect([...opened.arrays.keys()]).toEqual(['a', 'b'])
    expect([...(await opened.arrays.get('b')!.read())]).toEqual([2])
    await opened.close()
  })

  it('are never read outside their folder', async () => {
    const dir = folder('outside', { 'x.safetensors': { a: 1 } })
    const index = { weight_map: { a: '../parts/m-1.safetensors' } }
    writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify(index))
    await expect(openForeign(dir)).rejects.toThrow(/names a file outside its folder/)
  })

  it.each<[string, object, RegExp]>([
    [
      'in no file',
      { a: 'm-1.safetensors', b: 'm-9.safetensors' },
      /1 of its 2 files that are not there: m-9/,
    ],
    [
      'that its file lacks',
      { a: 'm-1.safetensors', c: 'm-2.safetensors' },
      /m-2\.safetensors lacks c, which its index says/,
    ],
    [
      'in two files',
      { a: 'm-1.safetensors', b: 'm-3.safetensors' },
      /^a is in two files: m-1\.safetensors and m-3/,
    ],
    ['in a pointer of Git LFS', { a: 'm-1.safetensors', b: 'pointer.safetensors' }, /Git LFS pointer/],
    ['in a folder', { a: 'm-1.safetensors', b: '..' }, /outside its folder: \.\./],
    ['at a link round in a circle', { a: 'm-1.safetensors', b: 'circle.safetensors' }, /not there: circle/],
  ])('of an index are refused %s', async (name, weight_map, message) => {
    const dir = folder(name, {
      ...{ 'm-1.safetensors': { a: 1 }, 'm-2.safetensors': { b: 2 } },
      'm-3.safetensors': { b: 3, a: 3 },
    })
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 343249461\n'
    writeFileSync(join(dir, 'pointer.safetensors'), pointer)
    symlinkSync('circle.safetensors', join(dir, 'circle.safetensors'))
    writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify({ weight_map }))
    await expect(openForeign(dir)).rejects.toThrow(message)
  })

  it('behind links that lead round in a circle are refused, and links to files are followed', async () => {
    const dir = folder('links', { 'blob.safetensors': { a: 1 } })
    symlinkSync('blob.safetensors', join(dir, 'model.safetensors'))
    await (await openForeign(dir)).close()
    symlinkSync('config.json', join(dir, 'config.json'))
    await expect(openForeign(dir)).rejects.toThrow(
      /config\.json is a link that leads to no file, or round in a circle/,
    )
    symlinkSync('circle', join(work, 'circle'))
    await expect(openForeign(join(work, 'circle'))).rejects.toThrow(/is a link that leads to no file/)
  })

  it('with a configuration that is too large to be one are refused', async () => {
    const dir = folder('large', { 'model.safetensors': { a: 1 } })
    writeFileSync(join(dir, 'config.json'), '')
    truncateSync(join(dir, 'config.json'), 2 ** 40) // no byte of it is written
    await expect(openForeign(dir)).rejects.toThrow(/config\.json: it has 1099511627776 bytes, and at most/)
  })

  it('are read when they are asked for, and not before', async () => {
    const dir = folder('lazy', { 'model.safetensors': { a: 1, b: 2 } })
    const { arrays, close } = await openForeign(dir)
    writeFileSync(join(dir, 'model.safetensors'), '')
    await expect(arrays.get('a')!.read()).rejects.toThrow(/ended while it was being read/)
    await close()
  })

  it.each<[string, Readonly<Record<string, Readonly<Record<string, number>>>>, RegExp]>([
    ['none', {}, /has no file of weights/],
    ['two', { 'a.safetensors': { a: 1 }, 'b.safetensors': { a: 1 } }, /several files of weights \(a.*, b/],
  ])('%s in a folder: it says so', async (name, files, message) => {
    await expect(openForeign(folder(name, files))).rejects.toThrow(message)
  })

  it('come with configurations of their folder, not of a file of another name beside them', async () => {
    const dir = folder('one', { 'model.safetensors': { a: 1 }, 'other.safetensors': { a: 1 } })
    writeFileSync(join(dir, 'config.json'), '{"hidden_size":8}')
    const config = async (path: string) => (await openForeign(path)).config
    expect(await config(dir)).toEqual({ hidden_size: 8 })
    expect(await config(join(dir, 'model.safetensors'))).toEqual({ hidden_size: 8 })
    expect(await config(join(dir, 'other.safetensors'))).toBeNull()
    writeFileSync(join(dir, 'config.json'), '[1]')
    await expect(openForeign(dir)).rejects.toThrow(/config\.json: expected a JSON object/)
  })

  it('of a training are those under "model", with its arguments', async () => {
    const opened = await openForeign(join(fixtures, 'mae.pth'))
    expect(opened.arrays.has('cls_token')).toBe(true)
    expect([...opened.arrays.keys()].some((name) => name.includes('exp_avg'))).toBe(false)
    expect(opened.facts.get('args.mask_ratio')).toBe(0.5)
    await opened.close()
  })
})

describe('tables of positions', () => {
  const table = (rows: number, data: Float32Array, hasCls = true) => {
    const width = data.length / rows
    const whole = new Float32Array(hasCls ? width + data.length : data.length)
    whole.set(data, hasCls ? width : 0)
    return { shape: [1, whole.length / width, width], data: whole }
  }
  const none = { grid: null, half: false }
  const wide = { h: 2, w: 3 }

  it('of sines and cosines show their grid, a square or not, with cls or without', () => {
    for (const grid of [wide, { h: 3, w: 2 }, { h: 3, w: 3 }, { h: 1, w: 4 }])
      for (const hasCls of [true, false]) {
        if (!hasCls && grid.h !== grid.w) continue // the rows alone are no square: one of them is cls
        const found = examinePositions(table(grid.h * grid.w, sineCosinePositions(grid, 8), hasCls), none)
        expect(found).toMatchObject({ grid, kind: 'fixed', cls: null, difference: 0 })
      }
  })

  it('that differ by a little more are learned', () => {
    const data = sineCosinePositions({ h: 2, w: 2 }, 8)
    const moved = (by: number) =>
      examinePositions(
        table(
          4,
          data.map((x, i) => x + (i === 5 ? by : 0)),
        ),
        none,
      )
    expect(moved(9e-5).kind).toBe('fixed')
    expect(moved(2e-4)).toMatchObject({ kind: 'learned', grid: { h: 2, w: 2 } })
    expect(moved(Number.NaN)).toMatchObject({ kind: 'learned', difference: Number.POSITIVE_INFINITY })
    expect(
      examinePositions(
        table(
          4,
          data.map((x) => x + 1e-3),
        ),
        { grid: null, half: true },
      ).kind,
    ).toBe('fixed')
  })

  it('may have something for cls', () => {
    const made = table(4, sineCosinePositions({ h: 2, w: 2 }, 8))
    made.data[3] = 0.5
    expect([...examinePositions(made, none).cls!]).toEqual([0, 0, 0, 0.5, 0, 0, 0, 0])
  })

  it('must have as many places as the configuration says', () => {
    const made = table(6, sineCosinePositions(wide, 8))
    expect(() => examinePositions(made, { grid: { h: 3, w: 3 }, half: false })).toThrow(
      /positions for 7 tokens, expected 9 places \(3 × 3\)/,
    )
    expect(() => examinePositions({ shape: [7], data: new Float32Array(7) }, none)).toThrow(/are \[7\]/)
  })
})

it('floats of 16 bits are what IEEE 754 says', () => {
  const halves: readonly (readonly [bits: number, value: number])[] = [
    ...([
      [0, 0],
      [0x3c00, 1],
      [0xc100, -2.5],
      [0x7bff, 65504],
      [1, 2 ** -24],
      [0x0400, 2 ** -14],
    ] as const),
    ...([
      [0x7c00, Number.POSITIVE_INFINITY],
      [0xfc00, Number.NEGATIVE_INFINITY],
      [0x7e00, Number.NaN],
    ] as const),
  ]
  for (const [bits, value] of halves) expect(fromFloat16(bits)).toBe(value)
  expect([...toFloat32(Uint16Array.of(0x3f80, 0xc020), 'bfloat16')]).toEqual([1, -2.5])
  expect(() => toFloat32(Int32Array.of(1), 'int32')).toThrow(/floating-point weights, got int32/)
})
