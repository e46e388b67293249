// Files of NumPy itself (scripts/reference/make_geotiff.py), and arrays written byte by byte.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { packageRoot } from '../../../src/package-root.ts'
import { blockCache } from '../../../src/source/raster/block-cache.ts'
import { openNpyRaster, openNpzRaster } from '../../../src/source/raster/numpy-raster.ts'
import { textsFrom, timesFrom } from '../../../src/source/raster/numpy-values.ts'
import type { RasterFile } from '../../../src/source/raster/raster-file.ts'
import type { Values } from '../../../src/source/raster/sample-type.ts'
import { temporaryFolder } from '../../prepare/decode/make-images.ts'
import { npy, npz, rawNpy } from './make-rasters.ts'

const fixtures = join(packageRoot(), 'test/fixtures/rasters')
const dir = await temporaryFolder()
let files = 0
const save = (bytes: Uint8Array) => {
  const path = join(dir, `${files++}.npy`)
  writeFileSync(path, bytes)
  return path
}
const blocks = () => blockCache<Values | null>(1e6, (values) => values?.byteLength ?? 0)
const opened: RasterFile[] = []
afterEach(() => Promise.all(opened.splice(0).map((file) => file.close())))
const open = async (path: string) => {
  const file = await (path.endsWith('.npz') ? openNpzRaster : openNpyRaster)({ path, blocks: blocks() })
  opened.push(file)
  return file
}
const whole = { left: 0, top: 0, width: 8, height: 6 }
/** 40·b + 3·y + 2·x, of 8 × 6 pixels. */
const plane = (b: number) =>
  Array.from({ length: 48 }, (_, i) => 40 * b + 3 * Math.floor(i / 8) + 2 * (i % 8))

describe('NumPy’s files', () => {
  it.each(['cube.npy', 'big-endian.npy'])('%s has its values', async (name) => {
    const file = await open(join(fixtures, name))
    expect((await file.describe(1)).layers.map(({ band, width, height }) => [band, width, height])).toEqual([
      [0, 8, 6],
      [1, 8, 6],
      [2, 8, 6],
    ])
    const read = await file.read(
      [
        { file: name, band: 2 },
        { file: name, band: 0 },
      ],
      whole,
      { nodata: null },
    )
    expect(read.map((values) => [...values])).toEqual([plane(2), plane(0)])
    const part = await file.read(
      [{ file: name, band: 1 }],
      { left: 3, top: 2, width: 2, height: 3 },
      { nodata: 54 },
    )
    expect([...part[0]!]).toEqual([52, Number.NaN, 55, 57, 58, 60])
  })

  it('series.npz has its values, names and dates', async () => {
    const file = await open(join(fixtures, 'series.npz'))
    const { layers, items, timeOf } = await file.describe(2)
    expect(layers.map(({ name, frames, member }) => [name, frames, member])).toEqual(
      ['B2', 'B3', 'B8A'].map((name) => [name, 2, 'images']),
    )
    expect([items, timeOf(0, 0), timeOf(0, 1)]).toEqual([null, Date.UTC(2021, 5, 14), Date.UTC(2021, 4, 1)])
    const read = await file.read([{ file: '', member: 'images', frame: 1, band: 2 }], whole, { nodata: null })
    expect([...read[0]!]).toEqual(plane(2).map((value) => value + 500))
  })

  it('members.npz has a band in each member, of its own type and size', async () => {
    const file = await open(join(fixtures, 'members.npz'))
    expect((await file.describe(1)).layers.map(({ name, width, height }) => [name, width, height])).toEqual([
      ['B02', 8, 6],
      ['B03', 4, 3],
    ])
    expect([
      ...(await file.read([{ file: '', member: 'B02', band: 0 }], whole, { nodata: null }))[0]!,
    ]).toEqual(plane(0))
    const coarse = await file.read(
      [{ file: '', member: 'B03', band: 0 }],
      { left: 1, top: 1, width: 2, height: 1 },
      { nodata: null },
    )
    expect([...coarse[0]!]).toEqual([40 + 6 + 4, 40 + 6 + 8])
    expect(() => file.sizeOf({ file: '', member: 'B04', band: 0 })).toThrow(/no member B04/)
  })
})

describe('arrays', () => {
  it.each([1, 2, 3])('of version %i are read', async (version) => {
    const file = await open(save(rawNpy('|u1', [1, 2, 2], Uint8Array.of(1, 2, 3, 4), version)))
    const read = await file.read(
      [{ file: '', band: 0 }],
      { left: 0, top: 0, width: 2, height: 2 },
      { nodata: 3 },
    )
    expect([...read[0]!]).toEqual([1, 2, Number.NaN, 4])
  })

  it('of half precision are read, with all that it can hold', async () => {
    const halves = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x7e00) // 1, −2, 2⁻²⁴, 65504, ∞, NaN
    const file = await open(save(rawNpy('<f2', [1, 6], new Uint8Array(halves.buffer))))
    const read = await file.read(
      [{ file: '', band: 0 }],
      { left: 0, top: 0, width: 6, height: 1 },
      { nodata: null },
    )
    expect([...read[0]!]).toEqual([1, -2, 2 ** -24, 65_504, Number.NaN, Number.NaN])
  })

  it.each<[string, Buffer, RegExp]>([
    ['another format', Buffer.from('not an array at all'), /no \.npy file of version 1, 2 or 3/],
    [
      'a cut file',
      npy('u2', [2, 3], (i) => i).subarray(0, -1),
      /<u2 of shape \(2, 3\) do not make its 139 bytes/,
    ],
    [
      'numbers of 64 bits',
      npy('i8', [1, 2, 2], (i) => i),
      /its values are <i8: u1, i1.*save it with array\.astype\('int32'\), or astype\('float64'\) where/,
    ],
    ['truth', rawNpy('|b1', [1, 2, 2], Buffer.alloc(4)), /its values are \|b1: .*array\.astype\('uint8'\)$/],
    ['texts', rawNpy('<U1', [1, 2], Buffer.alloc(8)), /its values are <U1/],
    ['objects', rawNpy('|O', [1, 2], Buffer.alloc(16)), /its values are \|O/],
    ['one axis', npy('u1', [4], (i) => i), /its array is \(4\) of \|u1: \[C, H, W\]/],
    ['six axes', npy('u1', [1, 1, 1, 1, 2, 2], (i) => i), /its array is \(1, 1, 1, 1, 2, 2\)/],
    ['nothing in it', npy('u1', [0, 2, 2], (i) => i), /its array is \(0, 2, 2\)/],
    [
      'an endless shape',
      rawNpy('|u1', [999_999_999_999, 999_999_999_999], Buffer.alloc(1)),
      /do not make its 129 bytes/,
    ],
    [
      'Fortran order',
      Buffer.from(
        npy('u1', [2, 2], (i) => i)
          .toString('latin1')
          .replace(/False(.*) \n/, 'True$1  \n'),
        'latin1',
      ),
      /Fortran order: save it with/,
    ],
  ])('are refused: %s', async (_, bytes, message) => {
    const read = async () => (await open(save(bytes))).describe(1)
    await expect(read()).rejects.toMatchObject({ code: 'SOURCE', message: expect.stringMatching(message) })
  })

  it('of an .npz are refused where they cannot be read', async () => {
    const path = (bytes: Uint8Array) => {
      const name = join(dir, `${files++}.npz`)
      writeFileSync(name, bytes)
      return name
    }
    const describeFile = async (bytes: Uint8Array) => (await open(path(bytes))).describe(1)
    await expect(describeFile(npz({ label: npy('u1', [1], () => 1) }))).rejects.toThrow(
      /it holds label: an array named images, x, arr_0, data/,
    )
    await expect(describeFile(npz({ x: Buffer.from('no array is here') }))).rejects.toThrow(
      /its member x\.npy: it is no \.npy file/,
    )
    await expect(describeFile(npz({ x: rawNpy('|u1', [1, 9, 9], Buffer.alloc(4)) }))).rejects.toThrow(
      /x\.npy: \|u1 of shape \(1, 9, 9\) do not make its 132 bytes/,
    )
    await expect(
      describeFile(npz({ x: npy('u1', [1, 1, 1], () => 1), bands: npy('u1', [1], () => 1) })),
    ).rejects.toThrow(/its names of bands are \|u1/)
    const changed = npz({ x: npy('u1', [1, 40, 40], (i) => i % 7) })
    changed[changed.indexOf('x.npy') + 60]! ^= 4
    const file = await open(path(changed)).catch(() => null)
    if (file)
      await expect(
        file.read(
          [{ file: '', member: 'x', band: 0 }],
          { left: 0, top: 0, width: 1, height: 1 },
          { nodata: null },
        ),
      ).rejects.toMatchObject({ code: 'SOURCE' })
  })
})

describe('dates and texts', () => {
  const head = (dtype: string) => ({ dtype, shape: [], version: 1, isFortran: false, start: 0 })
  const eight = (value: bigint, isBig = false) => {
    const bytes = Buffer.alloc(8)
    if (isBig) bytes.writeBigInt64BE(value)
    else bytes.writeBigInt64LE(value)
    return bytes
  }
  it.each<[string, bigint, number | null]>([
    ['<M8[Y]', 51n, Date.UTC(2021, 0)],
    ['<M8[M]', 617n, Date.UTC(2021, 5)],
    ['<M8[W]', 1n, 7 * 864e5],
    ['<M8[D]', 18_792n, Date.UTC(2021, 5, 14)],
    ['<M8[h]', 2n, 72e5],
    ['<M8[m]', 2n, 12e4],
    ['<M8[s]', -1n, -1000],
    ['<M8[ms]', 5n, 5],
    ['<M8[us]', 5000n, 5],
    ['<M8[ns]', 1_623_628_800_000_000_000n, Date.UTC(2021, 5, 14)],
    ['<M8[25s]', 2n, 50_000],
    ['<i8', 3n, 3000],
    ['>i8', 3n, 3000],
    ['<M8[D]', -(2n ** 63n), null],
  ])('%s %i', (dtype, value, time) => {
    expect(timesFrom(eight(value, dtype.startsWith('>')), head(dtype))).toEqual([time])
  })

  it('are refused when they are none', () => {
    expect(() => timesFrom(eight(1n), head('<f8'))).toThrow(/its dates are <f8: datetime64 and int64 seconds/)
    expect(() => timesFrom(eight(1n), head('<M8[fs]'))).toThrow(/which is no date/)
    expect(() => timesFrom(eight(2n ** 60n), head('<M8[s]'))).toThrow(/which is no date/)
  })

  it('are read from both kinds of text', () => {
    const wide = Buffer.alloc(16)
    for (const [i, letter] of [...'B2äx'].entries()) wide.writeUInt32LE(letter.codePointAt(0)!, 4 * i)
    expect(textsFrom(Buffer.from(wide), head('<U2'))).toEqual(['B2', 'äx'])
    expect(textsFrom(Buffer.from(wide).swap32(), head('>U2'))).toEqual(['B2', 'äx'])
    expect(textsFrom(Buffer.from('B2\0B8A'), head('|S3'))).toEqual(['B2', 'B8A'])
    expect(textsFrom(Buffer.alloc(8).fill(0xff), head('<U2'))).toEqual([''])
  })
})
