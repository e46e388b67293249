import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { configureDecoder, tryDecode } from '../../../src/prepare/decode/decode.ts'
import type { ImageRequest } from '../../../src/prepare/decode/decode-request.ts'
import { decodeFastJpeg, readImages } from '../../../src/prepare/decode/fast-jpeg.ts'
import { resizeBicubic } from '../../../src/prepare/decode/resize.ts'
import { draws } from '../../../src/random/draws.ts'
import { scene, temporaryFolder } from './make-images.ts'

let dir: string
let saved = 0
beforeAll(async () => {
  dir = await temporaryFolder()
  configureDecoder()
})

async function save(bytes: Uint8Array): Promise<string> {
  const path = join(dir, `${saved++}.jpg`)
  await writeFile(path, bytes)
  return path
}

interface Wish {
  readonly box?: { left: number; top: number; width: number; height: number }
  readonly width: number
  readonly height: number
  readonly isFullResolution?: boolean
}

function asked({ box, width, height, ...more }: Wish): ImageRequest & { out: Uint8Array } {
  const out = new Uint8Array(width * height * 3)
  const sample = (image: { width: number; height: number }) => ({
    box: box ?? { left: 0, top: 0, ...image },
    flip: false,
    target: { width, height },
    out,
  })
  return { channels: 3, minSide: 1, maxPixels: 1e8, sample, out, ...more }
}

/** What the addon makes of it, or null when it leaves the file to sharp. */
async function fast(path: string, wish: Wish): Promise<Uint8Array | null> {
  const request = asked(wish)
  const [file] = await readImages([path], request.maxPixels)
  if (!file || typeof file === 'symbol' || file instanceof Uint8Array) return null
  return (await decodeFastJpeg(file, request)) ? request.out : null
}

const kinds = {
  'chroma halved both ways': { quality: 90, chromaSubsampling: '4:2:0' },
  'whole chroma': { quality: 95, chromaSubsampling: '4:4:4' },
  progressive: { quality: 90, progressive: true },
} as const

describe('decodeFastJpeg', () => {
  it.each(Object.entries(kinds))(
    'decodes whole images as sharp does, byte for byte: %s',
    async (_, options) => {
      for (const [width, height] of [
        [173, 131],
        [64, 64],
        [7, 200],
        [1, 1],
      ] as const) {
        const jpeg = await (await scene(width, height, 3)).jpeg(options).toBuffer()
        const expected = await sharp(jpeg).raw().toBuffer()
        expect(Buffer.compare((await fast(await save(jpeg), { width, height }))!, expected)).toBe(0)
      }
    },
  )

  it.each(Object.entries(kinds))('decodes a crop as the crop of the whole: %s', async (_, options) => {
    const size = { width: 211, height: 157 }
    const jpeg = await (await scene(size.width, size.height, 4)).jpeg(options).toBuffer()
    const path = await save(jpeg)
    const pixels = await sharp(jpeg).raw().toBuffer()
    for (let index = 0; index < 80; index++) {
      const draw = draws({ seed: 1, stream: 'crop', epoch: 0, index })
      const width = 1 + draw.below(index < 40 ? 40 : size.width)
      const height = 1 + draw.below(index < 40 ? 40 : size.height)
      const box = {
        left: draw.below(size.width - width + 1),
        top: draw.below(size.height - height + 1),
        width,
        height,
      }
      const target = { width: 1 + draw.below(60), height: 1 + draw.below(60) }
      const came = await fast(path, { box, ...target, isFullResolution: true })
      expect(
        Buffer.compare(came!, resizeBicubic({ ...size, pixels }, box, target)),
        JSON.stringify(box),
      ).toBe(0)
    }
  })

  it('decodes grey images', async () => {
    const jpeg = await (await scene(80, 60, 5)).toColourspace('b-w').jpeg().toBuffer()
    expect((await sharp(jpeg).metadata()).channels).toBe(1)
    const came = (await fast(await save(jpeg), { width: 80, height: 60 }))!
    expect(Buffer.compare(came, await sharp(jpeg).toColourspace('srgb').raw().toBuffer())).toBe(0)
  })

  it('reduces by the transform where the sample is much smaller, and stays close to the full way', async () => {
    const size = { width: 640, height: 480 }
    const path = await save(await (await scene(size.width, size.height, 6)).jpeg({ quality: 92 }).toBuffer())
    const pixels = await sharp(path).raw().toBuffer()
    for (const [box, target] of [
      [
        { left: 0, top: 0, ...size },
        { width: 160, height: 120 },
      ],
      [
        { left: 33, top: 21, width: 501, height: 387 },
        { width: 100, height: 90 },
      ],
      [
        { left: 101, top: 7, width: 450, height: 450 },
        { width: 50, height: 50 },
      ],
      [
        { left: 5, top: 3, width: 471, height: 463 },
        { width: 32, height: 57 },
      ],
    ] as const) {
      const came = (await fast(path, { box, ...target }))!
      const expected = resizeBicubic({ ...size, pixels }, box, target)
      const error = came.reduce((sum, value, i) => sum + (value - expected[i]!) ** 2, 0) / came.length
      expect(error).toBeGreaterThan(0) // or it was not reduced
      expect(10 * Math.log10(255 ** 2 / error), JSON.stringify(box)).toBeGreaterThan(35)
    }
  })

  it('leaves to sharp what is rotated, has a profile, is CMYK or no JPEG', async () => {
    const image = await scene(40, 30, 7)
    const whole = { width: 40, height: 30 }
    const plain = await image.clone().jpeg().toBuffer()
    expect(await fast(await save(plain), whole)).not.toBeNull()
    const upright = await image
      .clone()
      .jpeg()
      .withExif({ IFD0: { Copyright: 'nobody' } })
      .toBuffer()
    const rotated = Buffer.from(upright)
    rotated[rotated.indexOf(Buffer.from([0x12, 1, 3, 0, 1, 0, 0, 0, 1, 0])) + 8] = 6
    expect((await sharp(rotated).metadata()).orientation).toBe(6)
    expect(await fast(await save(upright), whole)).not.toBeNull()
    expect(await fast(await save(rotated), whole)).toBeNull()
    for (const other of [
      image.clone().withIccProfile('p3').jpeg(),
      image.clone().toColourspace('cmyk').jpeg(),
      image.clone().png(),
    ])
      expect(await fast(await save(await other.toBuffer()), whole)).toBeNull()
    const arithmetic = Buffer.from(plain)
    arithmetic[arithmetic.indexOf(Buffer.from([0xff, 0xc0])) + 1] = 0xc9
    expect(await fast(await save(arithmetic), whole)).toBeNull()
    expect(await fast(join(dir, 'gone.jpg'), whole)).toBeNull()
  })

  it('never crashes on damaged files, and refuses truncated ones', async () => {
    for (const [kind, options] of Object.entries(kinds)) {
      const jpeg = await (await scene(97, 83, 8)).jpeg(options).toBuffer()
      for (let index = 0; index < 150; index++) {
        const draw = draws({ seed: 2, stream: 'crop', epoch: 0, index })
        const damaged = Buffer.from(jpeg)
        for (let k = draw.below(6); k >= 0; k--)
          damaged[draw.below(index % 2 ? 700 : jpeg.length)]! ^= 1 << draw.below(8)
        const cut = index % 3 === 0 ? draw.below(jpeg.length) : jpeg.length
        const path = await save(damaged.subarray(0, cut))
        const wish = { width: 40, height: 30, box: { left: 20, top: 10, width: 70, height: 50 } }
        const reason = await tryDecode(path, asked({ ...wish, width: 20 })).catch(
          (error: Error) => error.message,
        )
        expect(reason === null || /\S/.test(reason), kind).toBe(true)
      }
      for (const share of [0.3, 0.6, 0.95]) {
        const path = await save(jpeg.subarray(0, jpeg.length * share))
        expect(await fast(path, { width: 97, height: 83 })).toBeNull()
        expect(await tryDecode(path, asked({ width: 97, height: 83 }))).toMatch(
          /premature end|cannot be decoded/,
        )
      }
    }
    expect((await readFile(join(dir, '0.jpg'))).length).toBeGreaterThan(0)
  })
})
