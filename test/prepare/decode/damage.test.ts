// Damaged data and many scans, by both ways that decode JPEG files: what is plain by the addon, what has a rotation by sharp.
import { beforeAll, describe, expect, it } from 'vitest'
import { type Corruption, isDamage, warningOf } from '../../../src/prepare/decode/damage.ts'
import { configureDecoder, tryDecodeBytes } from '../../../src/prepare/decode/decode.ts'
import { openImage } from '../../../src/prepare/decode/fast-jpeg.ts'
import { countScans } from '../../../src/prepare/decode/jpeg-scans.ts'
import { skipLedger } from '../../../src/prepare/skipped.ts'
import { draws } from '../../../src/random/draws.ts'
import { scene } from './make-images.ts'

/** An EXIF block that turns the image by half a turn, behind the start of the image. */
const turned = (jpeg: Buffer): Buffer =>
  Buffer.concat([
    jpeg.subarray(0, 2),
    Buffer.from([0xff, 0xe1, 0, 34, ...Buffer.from('Exif\0\0')]),
    Buffer.from([0x49, 0x49, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]),
    jpeg.subarray(2),
  ])

const ways = { addon: (jpeg: Buffer) => jpeg, sharp: turned }
const kinds = [
  { quality: 80 },
  { quality: 95, chromaSubsampling: '4:4:4' },
  { quality: 70, progressive: true },
  { quality: 90, chromaSubsampling: '4:2:0' },
] as const

/** Of different sizes; every kind of them. */
let jpegs: Buffer[] = []
beforeAll(async () => {
  configureDecoder()
  jpegs = await Promise.all(
    Array.from({ length: 20 }, async (_, i) =>
      (await scene(60 + 11 * i, 50 + 7 * i, i)).jpeg(kinds[i % kinds.length]!).toBuffer(),
    ),
  )
})

const side = 24
const request = (out: Uint8Array, corrupt?: Corruption) => ({
  ...{ channels: 3, minSide: 1, maxPixels: 1e8, corrupt },
  sample: ({ width, height }: { width: number; height: number }) => ({
    ...{ box: { left: 0, top: 0, width, height }, flip: false, target: { width: side, height: side }, out },
  }),
})
async function decoded(file: Uint8Array, corrupt?: Corruption): Promise<string | Uint8Array> {
  const out = new Uint8Array(side * side * 3)
  return (await tryDecodeBytes(file, request(out, corrupt))) ?? out
}

describe.each(Object.entries(ways))('a JPEG that %s decodes', (name, way) => {
  it('is decoded by it', () => {
    for (const jpeg of jpegs) expect(openImage(way(jpeg)) instanceof Uint8Array).toBe(name === 'sharp')
  })

  it('is taken when it is whole', async () => {
    for (const jpeg of jpegs) expect(await decoded(way(jpeg))).toBeInstanceOf(Uint8Array)
  })

  it('of which the second half is random bytes is noticed, 99 of 100 times', async () => {
    const count = 1000
    const reasons: string[] = []
    for (let index = 0; index < count; index++) {
      const jpeg = Buffer.from(jpegs[index % jpegs.length]!)
      const { below } = draws({ seed: 3, stream: 'damage', epoch: 0, index })
      for (let at = jpeg.length >> 1; at < jpeg.length; at++) jpeg[at] = below(256)
      const came = await decoded(way(jpeg))
      if (typeof came === 'string') reasons.push(came)
    }
    expect(reasons.length).toBeGreaterThanOrEqual(0.99 * count)
    expect(reasons.filter((reason) => !/^its data is damaged \(|^cannot be decoded/.test(reason))).toEqual([])
    expect(reasons.filter(isDamage).length).toBeGreaterThan(0.5 * count) // the others libjpeg does not decode at all
  })

  it('is decoded all the same where such data is kept', async () => {
    const jpeg = Buffer.from(jpegs[0]!)
    jpeg.fill(0xa5, jpeg.length >> 1, jpeg.length - 2)
    expect(await decoded(way(jpeg))).toMatch(/^its data is damaged \(Corrupt JPEG data: .*\)$/)
    expect(await decoded(way(jpeg), 'stop')).toMatch(/^its data is damaged/)
    expect(await decoded(way(jpeg), 'keep')).toBeInstanceOf(Uint8Array)
  })

  it('is whole with bytes too many before its end or between its parts', async () => {
    for (const jpeg of jpegs) {
      const before = await decoded(way(jpeg))
      const end = Buffer.concat([jpeg.subarray(0, -2), Buffer.alloc(37, 0x11), jpeg.subarray(-2)])
      expect(await decoded(way(end))).toEqual(before)
      const frame = jpeg.findIndex((byte, i) => byte === 0xff && [0xc0, 0xc2].includes(jpeg[i + 1]!))
      const between = Buffer.concat([jpeg.subarray(0, frame), Buffer.alloc(9, 0x11), jpeg.subarray(frame)])
      expect(await decoded(way(between))).toEqual(before)
    }
  })

  it('is refused when it has more scans than pictures have, before it is decoded', async () => {
    const jpeg = jpegs[2]! // progressive
    const scans = countScans(jpeg)
    expect(scans).toBeGreaterThan(5)
    const last = jpeg.lastIndexOf(Buffer.from([0xff, 0xda]))
    const repeated = (times: number) =>
      Buffer.concat([
        jpeg.subarray(0, -2),
        ...Array.from({ length: times }, () => jpeg.subarray(last, -2)),
        jpeg.subarray(-2),
      ])
    expect(countScans(repeated(99 - scans))).toBe(99)
    // Not for their number; libvips has its own opinion of scans that say the same again.
    const many = await decoded(way(repeated(99 - scans)), 'keep')
    if (name === 'addon') expect(many).toBeInstanceOf(Uint8Array)
    else expect(many).toMatch(/Inconsistent progression/)
    for (const times of [101 - scans, 20_000]) {
      expect(countScans(repeated(times))).toBe(101) // it counts no further
      for (const corrupt of ['skip', 'keep'] as const)
        expect(await decoded(way(repeated(times)), corrupt)).toMatch(/^a JPEG of more than 100 scans/)
    }
  })
})

it('counts the scans of a file whatever it holds', () => {
  const counted = (...bytes: number[]) => countScans(Uint8Array.from([0xff, 0xd8, ...bytes]))
  const scan = [0xff, 0xda, 0, 3, 1]
  expect(counted()).toBe(0)
  expect(counted(...scan, 0xff, 0, 5, 0xff, 0xd3, 7, 0xff, 0xff, ...scan, 0xff, 0xd9, ...scan)).toBe(2)
  expect(counted(0xff, 0xfe, 0, 7, ...scan, ...scan, 0xff, 0xd9)).toBe(1) // the first is within a comment
  expect(counted(0xff, 0xda)).toBe(0)
  expect(counted(0xff, 0xda, 0, 0, ...scan)).toBe(2)
})

it('knows libvips’ words for damage from those for what is none', () => {
  for (const said of [
    'VipsJpeg: Corrupt JPEG data: premature end of data segment',
    'VipsJpeg: Corrupt JPEG data: bad Huffman code',
    'VipsJpeg: Corrupt JPEG data: found marker 0x52 instead of RST3',
    'VipsJpeg: Inconsistent progression sequence for component 1 coefficient 8',
  ])
    expect(warningOf(said)).toBe('damage')
  for (const said of [
    'VipsJpeg: Corrupt JPEG data: 37 extraneous bytes before marker 0xd9',
    'VipsJpeg: Warning: unknown JFIF revision number 2.01',
    'VipsJpeg: Unknown Adobe color transform code 7',
  ])
    expect(warningOf(said)).toBe('note')
  expect(warningOf('VipsJpeg: Unsupported marker type 0x8d')).toBeNull()
})

it('stops the work at the first damaged image where that is asked for', () => {
  const limit = { files: 1000, maxShare: 0.5, corrupt: 'stop' } as const
  const ledger = skipLedger(limit, () => {})
  ledger.add({ file: 'a.jpg', reason: 'the file is empty' })
  expect(() => ledger.add({ file: 'b.jpg', reason: 'its data is damaged (bad Huffman code)' })).toThrow(
    /^2 of 1000 images .*data\.corrupt is stop.*--corrupt keep\.\n/,
  )
})
