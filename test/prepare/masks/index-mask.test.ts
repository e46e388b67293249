import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../../src/package-root.ts'
import { readIndexMask, resizeMask } from '../../../src/prepare/masks/index-mask.ts'
import { openMaskedFolder } from '../../../src/source/masked-folder.ts'
import { tiff } from '../../source/raster/make-rasters.ts'
import { temporaryFolder } from '../../tensor/temporary-folder.ts'
import { pngChunk, type RawPng, rawPng } from '../decode/make-png.ts'

const read = (file: Buffer, maxPixels = 1e6) => {
  const path = join(temporaryFolder(), 'mask.png')
  writeFileSync(path, file)
  return readIndexMask(path, maxPixels)
}

describe('readIndexMask gives the numbers of', () => {
  const kinds = [
    [0, 1],
    [0, 2],
    [0, 4],
    [0, 8],
    [0, 16],
    [3, 1],
    [3, 2],
    [3, 4],
    [3, 8],
  ] as const satisfies readonly (readonly [RawPng['colour'], RawPng['depth']])[]
  it.each(kinds)('PNG colour type %i of %i bits', async (colour, depth) => {
    const [width, height] = [5, 3]
    const most = 2 ** depth - 1
    const values = Array.from({ length: width * height }, (_, i) => (i === 0 ? most : (i * 37) % (most + 1)))
    const mask = await read(rawPng({ width, height, colour, depth, values }))
    expect([mask.width, mask.height]).toEqual([width, height])
    expect([...mask.indices]).toEqual(values)
  })

  it('a palette with a gamma, a profile and transparency, which change colours only', async () => {
    const values = Array.from({ length: 16 }, (_, i) => i)
    const more = [
      pngChunk('gAMA', Buffer.from([0, 1, 0, 0])),
      pngChunk('tRNS', Buffer.from([0, 10, 20])),
      pngChunk('iCCP', Buffer.concat([Buffer.from('x\0\0', 'latin1'), deflateSync(Buffer.alloc(200))])),
    ]
    const mask = await read(rawPng({ width: 4, height: 4, colour: 3, depth: 8, values }, more))
    expect([...mask.indices]).toEqual(values)
  })
})

describe('readIndexMask refuses', () => {
  const plain = rawPng({ width: 4, height: 2, colour: 3, depth: 8, values: [0, 1, 2, 3, 4, 5, 6, 7] })
  const colours = rawPng({ width: 1, height: 1, colour: 2, depth: 8, values: [1, 2, 3] })
  it.each([
    ['colours', colours, 'expected class numbers'],
    ['a file cut short', plain.subarray(0, plain.length - 20), 'in the middle of a part'],
    ['a header alone', plain.subarray(0, 20), 'in the middle of a part'],
    ['text', Buffer.from('0 0 1 1'), 'expected a mask as PNG or TIFF'],
    ['nothing', Buffer.alloc(0), 'the file is empty'],
  ])('%s', async (_, file, reason) => {
    await expect(read(file)).rejects.toThrow(reason)
  })

  it('JPEG, whose numbers are blurred', async () => {
    const jpeg = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#123' } })
      .jpeg()
      .toBuffer()
    await expect(read(jpeg)).rejects.toThrow('expected a mask as PNG or TIFF')
  })

  it('more pixels than the limit, before they are decoded', async () => {
    await expect(read(plain, 7)).rejects.toThrow('4 x 2 pixels are more than the limit')
  })

  it('damaged pixels', async () => {
    const damaged = Buffer.from(plain)
    damaged[damaged.length - 20]! ^= 0xff
    await expect(read(damaged)).rejects.toThrow()
  })
})

it('resizeMask takes the number under the middle of each new pixel, and never mixes two', () => {
  const mask = { width: 4, height: 2, indices: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) }
  const whole = { left: 0, top: 0, width: 4, height: 2 }
  expect([...resizeMask(mask, whole, { width: 2, height: 1 })]).toEqual([6, 8])
  expect([...resizeMask(mask, whole, { width: 4, height: 4 })]).toEqual([
    ...[1, 2, 3, 4, 1, 2, 3, 4],
    ...[5, 6, 7, 8, 5, 6, 7, 8],
  ])
  const box = { left: 1, top: 0, width: 2, height: 2 }
  expect([...resizeMask(mask, box, { width: 2, height: 2 })]).toEqual([2, 3, 6, 7])
})

describe('a mask as TIFF', () => {
  const tags = (more: Record<number, number[]>) =>
    Object.fromEntries(Object.entries(more).map(([tag, values]) => [tag, { type: 3 as const, values }]))
  const value = (_: number, y: number, x: number) => 4 * y + x
  const own = async (file: Buffer) => {
    const { width, height, indices } = await read(file)
    return { width, height, indices: [...indices] }
  }
  it.each<[string, Buffer]>([
    ['of 8 bits', tiff({ width: 4, height: 2, type: 'u1', value })],
    ['of 16 bits, big end first', tiff({ width: 4, height: 2, type: 'u2', value, bigEndian: true })],
    ['of floats', tiff({ width: 4, height: 2, type: 'f4', value })],
    [
      'with a palette',
      tiff({ width: 4, height: 2, type: 'u1', value, tags: tags({ 262: [3], 320: Array(768).fill(7) }) }),
    ],
    ['that calls a class no data', tiff({ width: 4, height: 2, type: 'u1', value, nodata: '3' })],
  ])('%s gives its numbers', async (_, file) => {
    expect(await own(file)).toEqual({ width: 4, height: 2, indices: [0, 1, 2, 3, 4, 5, 6, 7] })
  })

  it('of one bit gives them, too', async () => {
    // Two rows of a byte each, of which four bits count.
    const file = tiff({
      width: 4,
      height: 2,
      type: 'u1',
      value: (_, y, x) => (y === 0 && x === 0 ? 0b10110000 : 0b01000000),
      tags: tags({ 258: [1], 279: [2] }),
    })
    expect((await own(file)).indices).toEqual([1, 0, 1, 1, 0, 1, 0, 0])
  })

  it.each<[string, Buffer, RegExp]>([
    ['colours', tiff({ width: 2, height: 2, bands: 3, type: 'u1' }), /one band, but it has 3 bands/],
    [
      'negative numbers',
      tiff({ width: 2, height: 1, type: 'i2', value: () => -1 }),
      /whole numbers from 0 to 65535, but it holds -1/,
    ],
    ['fractions', tiff({ width: 2, height: 1, type: 'f4', value: () => 0.5 }), /but it holds 0\.5/],
    [
      'nothing',
      tiff({ width: 2, height: 1, type: 'f4', value: () => Number.NaN }),
      /pixels without data: give them a number/,
    ],
    [
      'too many pixels',
      tiff({ width: 2000, height: 1000, type: 'u1', value: () => 1 }),
      /more than the limit/,
    ],
  ])('is refused where it holds %s', async (_, file, why) => {
    await expect(read(file)).rejects.toThrow(why)
  })

  it('is read where other programs wrote it, and so are masks named in upper case', async () => {
    for (const name of ['tif-masks', 'upper-case-ending']) {
      const folder = await openMaskedFolder(join(packageRoot(), '../shared/cases/masks', name))
      expect(folder.masks).toHaveLength(8)
      const mask = await readIndexMask(folder.masks[0]!, 1e6)
      expect([mask.width, mask.height]).toEqual([64, 64])
      expect(new Set(mask.indices).size).toBeGreaterThan(1)
    }
  })
})
