import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp, { type Sharp } from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../../../src/package-root.ts'
import { centerCrop } from '../../../src/prepare/crop.ts'
import {
  configureDecoder,
  decodeImage,
  sizeOfImage,
  tryDecodeImage,
} from '../../../src/prepare/decode/decode.ts'
import type { DecodeRequest } from '../../../src/prepare/decode/decode-request.ts'
import { resizeBicubic } from '../../../src/prepare/decode/resize.ts'
import type { Box } from '../../../src/source/box.ts'
import { tiff } from '../../source/raster/make-rasters.ts'
import { bmp } from './make-bmp.ts'
import {
  blackPng,
  from16Bits,
  fromBytes,
  plainTiff,
  scene,
  temporaryFolder,
  withProfile,
} from './make-images.ts'
import { pngChunk } from './make-png.ts'

let dir: string
beforeAll(async () => {
  dir = await temporaryFolder()
  configureDecoder()
})

let files = 0
async function save(image: Sharp | Uint8Array | string, name = 'image'): Promise<string> {
  const path = join(dir, `${files++}-${name}`)
  await writeFile(
    path,
    image instanceof Uint8Array || typeof image === 'string' ? image : await image.toBuffer(),
  )
  return path
}

const cases = join(packageRoot(), '../shared/cases')

interface Wish {
  readonly width: number
  readonly height: number
  readonly channels?: number
  readonly box?: Box
  readonly flip?: boolean
  readonly limits?: Partial<Pick<DecodeRequest, 'minSide' | 'maxPixels' | 'range'>>
}

function request({ width, height, channels = 3, box, flip = false, limits }: Wish): DecodeRequest {
  const target = { width, height }
  return {
    target,
    channels,
    minSide: 1,
    maxPixels: 1e8,
    ...limits,
    place: (image) => ({ box: box ?? centerCrop(image, target), flip }),
  }
}

async function decode(path: string, wish: Wish): Promise<number[]> {
  const out = new Uint8Array(wish.width * wish.height * (wish.channels ?? 3))
  await decodeImage(path, request(wish), out)
  return [...out]
}

const refusal = (path: string, wish: Wish = { width: 8, height: 8 }) =>
  tryDecodeImage(path, request(wish), new Uint8Array(wish.width * wish.height * 3))

const grey = (...values: number[]) => values.flatMap((value) => [value, value, value])
const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0)

describe('formats', () => {
  const rgb = Array.from({ length: 6 * 4 * 3 }, (_, i) => (i * 37) % 256)
  const whole = { width: 6, height: 4 }

  it.each([
    ['png', (image: Sharp) => image.png()],
    ['interlaced png', (image: Sharp) => image.png({ progressive: true })],
    ['lossless webp', (image: Sharp) => image.webp({ lossless: true })],
    ['lzw tiff', (image: Sharp) => image.tiff({ compression: 'lzw' })],
    ['tiled tiff', (image: Sharp) => image.tiff({ compression: 'deflate', tile: true })],
    ['plain tiff', (image: Sharp) => image.tiff({ compression: 'none' })],
    ['palette png', (image: Sharp) => image.png({ palette: true, quality: 100, dither: 0 })],
    ['gif', (image: Sharp) => image.gif({ dither: 0 })],
    [
      'lossless avif',
      (image: Sharp) => image.avif({ lossless: true, chromaSubsampling: '4:4:4', effort: 0 }),
    ],
  ])('%s', async (_, encode) => {
    expect(await decode(await save(encode(fromBytes(rgb, 6))), whole)).toEqual(rgb)
  })

  it('jpeg, decoded in one call when the file is small and by its header when it is not', async () => {
    const small = await scene(40, 40, 1)
    const large = await scene(300, 300, 1)
    for (const [image, size] of [
      [small, 40],
      [large, 300],
    ] as const) {
      const jpeg = await image.jpeg({ quality: 95 }).toBuffer()
      expect(jpeg.length < 8192).toBe(size === 40)
      const expected = await sharp(jpeg).raw().toBuffer()
      expect(await decode(await save(jpeg), { width: size, height: size })).toEqual([...expected])
    }
  })

  it('a small jpeg file of a large image goes the long way', async () => {
    const flat = sharp({ create: { width: 400, height: 300, channels: 3, background: '#c81e3c' } }).jpeg()
    const jpeg = await flat.toBuffer()
    expect(jpeg.length).toBeLessThan(8192)
    const [red, green, blue] = await sharp(jpeg).raw().toBuffer()
    expect((await decode(await save(jpeg), { width: 20, height: 20 })).slice(0, 3)).toEqual([
      red,
      green,
      blue,
    ])
  })

  it('the first frame of an animation', async () => {
    const frames = [...grey(...Array(16).fill(10)), ...grey(...Array(16).fill(200))]
    const animated = () =>
      sharp(Uint8Array.from(frames), { raw: { width: 4, height: 8, channels: 3, pageHeight: 4 } })
    for (const image of [
      animated().gif({ delay: [50, 50] }),
      animated().webp({ lossless: true, delay: [50, 50] }),
    ]) {
      const file = await image.toBuffer()
      expect((await sharp(file).metadata()).pages).toBe(2)
      expect(await decode(await save(file), { width: 4, height: 4 })).toEqual(grey(...Array(16).fill(10)))
    }
  })

  it('whatever its name says', async () => {
    const path = await save(fromBytes(rgb, 6).webp({ lossless: true }), 'really-a-webp.jpg')
    expect(await decode(path, whole)).toEqual(rgb)
  })
})

describe('values', () => {
  const ramp16 = [0, 255, 256, 257, 32767, 32768, 65279, 65535]
  const highBytes = [0, 0, 1, 1, 127, 128, 254, 255]

  it('grey becomes three equal channels, or one', async () => {
    const path = await save(fromBytes([0, 1, 127, 255], 2, 1).toColourspace('b-w').png())
    expect((await sharp(path).metadata()).channels).toBe(1)
    expect(await decode(path, { width: 2, height: 2 })).toEqual(grey(0, 1, 127, 255))
    expect(await decode(path, { width: 2, height: 2, channels: 1 })).toEqual([0, 1, 127, 255])
  })

  it('colour becomes luma when one channel is wanted', async () => {
    const path = await save(fromBytes([200, 30, 60, 12, 200, 100], 2).png())
    expect(await decode(path, { width: 2, height: 1, channels: 1 })).toEqual([84, 132])
  })

  it.each(['png', 'tiff'] as const)('16 bits become their high byte: %s', async (format) => {
    const encode = (values: number[], channels: 1 | 3) => {
      const data = new Uint8Array(Uint16Array.from(values).buffer)
      if (format === 'tiff') return save(plainTiff({ width: 8, height: 1, channels, data, bits: 16 }))
      return save(from16Bits(values, 8, channels).png())
    }
    const asGrey = await encode(ramp16, 1)
    const asRgb = await encode(grey(...ramp16), 3)
    expect((await sharp(asGrey).metadata()).space).toBe('grey16')
    expect((await sharp(asRgb).metadata()).space).toBe('rgb16')
    expect(await decode(asGrey, { width: 8, height: 1 })).toEqual(grey(...highBytes))
    expect(await decode(asGrey, { width: 8, height: 1, channels: 1 })).toEqual(highBytes)
    expect(await decode(asRgb, { width: 8, height: 1 })).toEqual(grey(...highBytes))
  })

  it('16 bits stay right when libvips shrinks them', async () => {
    const values = Array.from({ length: 200 * 200 }, (_, i) => 40_000 + 50 * (i % 200))
    const shrunk = await decode(await save(from16Bits(values, 200, 1).png()), {
      width: 100,
      height: 100,
      channels: 1,
    })
    // The mean of columns 2x and 2x + 1 is 40,025 + 100 x.
    const expected = Array.from({ length: 100 * 100 }, (_, i) => (40_025 + 100 * (i % 100)) / 256)
    expect(largestDifference(shrunk, expected)).toBeLessThanOrEqual(2)
  })

  it('alpha is laid over white', async () => {
    const rgba = [10, 20, 30, 255, 10, 20, 30, 0, 0, 0, 0, 128, 100, 200, 0, 64]
    const over = (value: number, alpha: number) => (value * alpha + 255 * (255 - alpha)) / 255
    const expected = [
      10,
      20,
      30,
      255,
      255,
      255,
      ...grey(over(0, 128)),
      over(100, 64),
      over(200, 64),
      over(0, 64),
    ]
    for (const image of [fromBytes(rgba, 4, 4).png(), fromBytes(rgba, 4, 4).tiff({ compression: 'lzw' })])
      expect(
        largestDifference(await decode(await save(image), { width: 4, height: 1 }), expected),
      ).toBeLessThanOrEqual(1)
    const greyAlpha = fromBytes([10, 255, 10, 0, 0, 128], 3, 2).toColourspace('b-w').png()
    const values = await decode(await save(greyAlpha), { width: 3, height: 1 })
    expect(largestDifference(values, grey(10, 255, over(0, 128)))).toBeLessThanOrEqual(1)
    const deep = from16Bits([5140, 10_280, 15_420, 65_535, 5140, 10_280, 15_420, 0], 2, 4).png()
    expect(await decode(await save(deep), { width: 2, height: 1 })).toEqual([20, 40, 60, 255, 255, 255])
  })

  it('a transparent palette entry is laid over white', async () => {
    const image = fromBytes([10, 20, 30, 255, 99, 99, 99, 0], 2, 4).png({ palette: true, dither: 0 })
    expect(await decode(await save(image), { width: 2, height: 1 })).toEqual([10, 20, 30, 255, 255, 255])
  })

  it('one bit a pixel becomes black and white', async () => {
    expect(await decode(await save(blackPng(10, 10)), { width: 10, height: 10 })).toEqual(
      grey(...Array(100).fill(0)),
    )
  })

  it('CMYK becomes sRGB', async () => {
    const flat = fromBytes(Array.from({ length: 32 * 32 }, () => [180, 60, 60]).flat(), 32)
    for (const image of [
      flat.clone().toColourspace('cmyk').jpeg({ quality: 100 }),
      flat.clone().toColourspace('cmyk').tiff(),
    ]) {
      const path = await save(image)
      expect((await sharp(path).metadata()).space).toBe('cmyk')
      const pixel = (await decode(path, { width: 32, height: 32 })).slice(0, 3)
      // Ink and back is not exact; inverted ink, the classic mistake, would be (75, 195, 195).
      expect(largestDifference(pixel, [180, 60, 60])).toBeLessThanOrEqual(25)
    }
  })

  it('a colour profile is converted to sRGB, in 8 and in 16 bits', async () => {
    const p3 = (await sharp(await fromBytes([1, 2, 3], 1).withIccProfile('p3').png().toBuffer()).metadata())
      .icc!
    const colour = [200, 30, 60]
    const deep = colour.map((value) => value * 257)
    // Display P3 (200, 30, 60) is sRGB (218, 0, 55) after clipping its negative green.
    const eight = withProfile(await fromBytes(colour, 1).png().toBuffer(), p3)
    const sixteen = withProfile(await from16Bits(deep, 1, 3).png().toBuffer(), p3)
    for (const png of [eight, sixteen])
      expect(
        largestDifference(await decode(await save(png), { width: 1, height: 1 }), [218, 0, 55]),
      ).toBeLessThanOrEqual(1)
  })
})

describe('orientation', () => {
  // Upright: a b c / d e f. What is stored for each EXIF orientation, from the standard's "row 0 is …, column 0 is …".
  const stored = ['abc/def', 'cba/fed', 'fed/cba', 'def/abc', 'ad/be/cf', 'cf/be/ad', 'fc/eb/da', 'da/eb/fc']
  const shade: Record<string, number> = { a: 10, b: 50, c: 90, d: 130, e: 170, f: 210 }

  it.each(stored.map((rows, i) => [i + 1, rows] as const))('%i', async (orientation, rows) => {
    const lines = rows.split('/')
    const block = 16
    const width = lines[0]!.length * block
    const pixels = lines.flatMap((line) => {
      const row = [...line].flatMap((cell) => Array<number>(block).fill(shade[cell]!))
      return Array.from({ length: block }, () => grey(...row)).flat()
    })
    const middles = (image: number[], across: number, columns: number[]) =>
      [8, 24].flatMap((y) => columns.map((x) => image[(y * across + x) * 3]!))
    const upright = [...'abcdef'].map((cell) => shade[cell]!)
    const rightThird = { left: 32, top: 0, width: 16, height: 32 }
    for (const image of [fromBytes(pixels, width).jpeg({ quality: 100 }), fromBytes(pixels, width).png()]) {
      const path = await save(image.withMetadata({ orientation }))
      const whole = await decode(path, { width: 48, height: 32 })
      expect(largestDifference(middles(whole, 48, [8, 24, 40]), upright)).toBeLessThanOrEqual(1)
      // The box is in upright coordinates.
      const right = await decode(path, { width: 16, height: 32, box: rightThird })
      expect(largestDifference(middles(right, 16, [8]), [90, 210])).toBeLessThanOrEqual(1)
    }
  })
})

describe('box, size and flip', () => {
  it('are bicubic as Pillow’s, within a grey level or two where libvips shrinks', async () => {
    const image = await scene(400, 320, 9)
    const path = await save(image.png())
    const pixels = await sharp(path).raw().toBuffer()
    const size = { width: 400, height: 320 }
    for (const box of [
      { left: 10, top: 20, width: 300, height: 280 },
      { left: 0, top: 0, width: 400, height: 320 },
      { left: 100, top: 50, width: 150, height: 120 },
    ]) {
      const target = { width: 140, height: 110 }
      const expected = resizeBicubic({ ...size, pixels }, box, target)
      const came = await decode(path, { ...target, box })
      expect(largestDifference(came, expected)).toBeLessThanOrEqual(3)
      const mean = came.reduce((sum, value, i) => sum + Math.abs(value - expected[i]!), 0) / came.length
      expect(mean).toBeLessThan(0.3)
    }
  })

  it('are exactly Pillow’s where the box is small or grows', async () => {
    const path = await save((await scene(200, 160, 9)).png())
    const pixels = await sharp(path).raw().toBuffer()
    for (const box of [
      { left: 7, top: 9, width: 100, height: 100 },
      { left: 0, top: 0, width: 200, height: 40 },
    ]) {
      const target = { width: 64, height: 64 }
      const expected = resizeBicubic({ width: 200, height: 160, pixels }, box, target)
      expect(await decode(path, { ...target, box })).toEqual([...expected])
      const flipped = await decode(path, { ...target, box, flip: true })
      const mirrored = Array.from(expected, (_, i) => {
        const column = Math.floor(i / 3) % 64
        return expected[i + (63 - 2 * column) * 3]
      })
      expect(flipped).toEqual(mirrored)
    }
  })

  it('are the same bytes each time', async () => {
    const path = await save((await scene(320, 320, 2)).jpeg())
    const wish = { width: 96, height: 96, box: { left: 3, top: 5, width: 299, height: 301 } }
    expect(await decode(path, wish)).toEqual(await decode(path, wish))
  })
})

describe('refusals', () => {
  it('name the path in the error', async () => {
    const path = await save('', 'empty.jpg')
    await expect(decode(path, { width: 8, height: 8 })).rejects.toMatchObject({
      code: 'DECODE',
      message: `Cannot use the image ${path}: the file is empty`,
    })
  })

  it('a file that is gone, or a folder', async () => {
    expect(await refusal(join(dir, 'gone.jpg'))).toMatch(/ENOENT/)
    expect(await refusal(dir)).toMatch(/no regular file/)
  })

  it('what is no image, whatever its name', async () => {
    expect(await refusal(await save('just some text\n', 'text.jpg'))).toBe(
      'expected a JPEG, PNG, WebP, TIFF, AVIF, GIF or BMP image, but the file starts with "just some text."',
    )
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><rect width="64" height="64"/></svg>'
    expect(await refusal(await save(svg, 'drawing.png'))).toMatch(/starts with "<svg xmlns=\\"http"/)
    expect(await refusal(await save(`<?xml version="1.0"?>${svg}`, 'drawing.jpg'))).toMatch(
      /starts with "<\?xml/,
    )
    expect(await refusal(await save('%PDF-1.4\n1 0 obj', 'page.jpg'))).toMatch(/starts with "%PDF-1\.4/)
    expect(await refusal(await save('x'))).toMatch(/starts with "x"/)
    const heic = Buffer.concat([Buffer.from('\0\0\0\x18ftypheic\0\0\0\0', 'latin1'), Buffer.alloc(100)])
    expect(await refusal(await save(heic, 'photo.jpg'))).toMatch(/starts with "\.\.\.\.ftypheic/)
  })

  it.each([
    ['jpeg', (image: Sharp) => image.jpeg()],
    ['progressive jpeg', (image: Sharp) => image.jpeg({ progressive: true })],
    ['png', (image: Sharp) => image.png()],
    ['interlaced png', (image: Sharp) => image.png({ progressive: true })],
    ['webp', (image: Sharp) => image.webp()],
    ['gif', (image: Sharp) => image.gif()],
    ['tiff', (image: Sharp) => image.tiff()],
    ['avif', (image: Sharp) => image.avif({ effort: 0 })],
  ])('a truncated %s', async (_, encode) => {
    const whole = await encode(await scene(150, 150, 4)).toBuffer()
    expect(await refusal(await save(whole))).toBeNull()
    for (const share of [0.95, 0.5, 0.1])
      expect(await refusal(await save(whole.subarray(0, whole.length * share)))).toMatch(/^cannot be decoded/)
    const small = await encode(await scene(20, 20, 4)).toBuffer()
    expect(await refusal(await save(small.subarray(0, small.length * 0.7)))).toMatch(/^cannot be decoded/)
  })

  it('but not a harmless oddity', async () => {
    const jpeg = await (await scene(150, 150, 4)).jpeg().toBuffer()
    const endOfApp0 = 4 + jpeg.readUInt16BE(4)
    const stray = Buffer.concat([jpeg.subarray(0, endOfApp0), Buffer.alloc(4), jpeg.subarray(endOfApp0)])
    expect(await refusal(await save(stray))).toBeNull()
    expect(await refusal(await save(Buffer.concat([jpeg, Buffer.from('trailing')])))).toBeNull()
  })

  it('an image of too many pixels, before decoding it', async () => {
    const path = await save(blackPng(30_000, 30_000))
    const before = process.memoryUsage().rss
    expect(await refusal(path)).toBe(
      '30000 x 30000 pixels are more than the limit of 100 megapixels; shrink the image, or raise the limit (data.maxPixels, --max-pixels)',
    )
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6)
    const limits = { maxPixels: 99 }
    expect(await refusal(await save(blackPng(10, 10)), { width: 8, height: 8, limits })).toMatch(
      /^10 x 10 pixels are more/,
    )
    const jpeg = await save(fromBytes(Array(300).fill(0), 10).jpeg())
    expect(await refusal(jpeg, { width: 8, height: 8, limits })).toMatch(/^10 x 10 pixels are more/)
  })

  it('a file larger than any image under the limit, before reading it', async () => {
    const path = await save(blackPng(8, 8))
    await truncate(path, 20e6)
    expect(await refusal(path, { width: 8, height: 8, limits: { maxPixels: 1000 } })).toBe(
      'a file of 20 MB is more than an image of 0.001 megapixels (data.maxPixels) can need',
    )
  })

  it('an image smaller than a patch', async () => {
    const reason =
      '40 x 12 pixels are less than one patch of 16 x 16; remove the image, or use smaller patches'
    const limits = { minSide: 16 }
    for (const image of [fromBytes(Array(1440).fill(9), 40).png(), fromBytes(Array(1440).fill(9), 40).jpeg()])
      expect(await refusal(await save(image), { width: 8, height: 8, limits })).toBe(reason)
  })

  it('values that have no 8-bit form', async () => {
    const size = { width: 8, height: 8 }
    const floats = new Uint8Array(Float32Array.from({ length: 64 }, (_, i) => i / 64).buffer)
    const float = plainTiff({ ...size, channels: 1, data: floats, bits: 32, isFloat: true })
    const expected = 'expected grey, RGB or CMYK of 8 or 16 bits, with or without alpha; '
    expect(await refusal(await save(float))).toBe(
      `${expected}got 1 channels (b-w) of type float; convert the image`,
    )
    for (const channels of [5, 8]) {
      const bands = plainTiff({ ...size, channels, data: new Uint8Array(channels * 64), bits: 8 })
      expect(await refusal(await save(bands))).toMatch(new RegExp(`^${expected}got ${channels} channels`))
    }
  })

  it('a request that no image can meet', async () => {
    const path = await save(blackPng(8, 8))
    const out = new Uint8Array(8 * 8 * 4)
    await expect(
      tryDecodeImage(path, request({ width: 8, height: 8, channels: 4 }), out),
    ).rejects.toMatchObject({
      code: 'VALUE',
      message: expect.stringMatching(/1 or 3 channels, not 4/),
    })
    await expect(tryDecodeImage(path, request({ width: 8, height: 8 }), out)).rejects.toMatchObject({
      code: 'SHAPE',
    })
  })
})

describe('bands beside the colours', () => {
  const value = (b: number, y: number, x: number) => (b === 3 ? 0 : 40 * b + 4 * y + x)
  const colours = Array.from({ length: 24 }, (_, i) =>
    value(i % 3, Math.floor(i / 12), Math.floor(i / 3) % 4),
  )
  const four = (extra: readonly number[] | null, type: 'u1' | 'u2' = 'u1') =>
    tiff({
      ...{ width: 4, height: 2, bands: 4, type },
      value: type === 'u1' ? value : (b, y, x) => 257 * value(b, y, x),
      tags: {
        262: { type: 3, values: [2] },
        ...(extra && { 338: { type: 3, values: extra } }),
      },
    })
  it.each<[string, Buffer, boolean]>([
    ['0, unspecified', four([0]), false],
    ['not said', four(null), false],
    ['0, of 16 bits', four([0], 'u2'), false],
    ['1, alpha', four([1]), true],
    ['2, alpha', four([2]), true],
    ['2, alpha of 16 bits', four([2], 'u2'), true],
  ])('are alpha or left away: %s', async (_, file, isAlpha) => {
    const path = await save(file, 'extra.tif')
    expect(await decode(path, { width: 4, height: 2 })).toEqual(isAlpha ? Array(24).fill(255) : colours)
  })

  it('of an aerial picture are left away, whether it is shrunk or not', async () => {
    for (const size of [64, 32]) {
      const wish = { width: size, height: size }
      const four = await decode(join(cases, 'naip/rgbn8-photometric-rgb.tif'), wish)
      expect(four).toEqual(await decode(join(cases, 'naip/rgb8.tif'), wish))
    }
  })
})

describe('images of 16 bits', () => {
  it('by a range keep the levels that their high byte loses', async () => {
    for (const [name, levels] of [
      ['dark/xray-12bit.png', [16, 256]],
      ['dark/sentinel-rgb-0.tif', [12, 188]],
    ] as const) {
      const wish = { width: 64, height: 64 }
      const high = await decode(join(cases, name), wish)
      const ranged = await decode(join(cases, name), { ...wish, limits: { range: [0, 4095] } })
      expect([new Set(high).size, new Set(ranged).size]).toEqual(levels)
    }
  })

  it('are mapped to 0 to 255, cut beyond the range, and laid over white where they are transparent', async () => {
    const limits = { range: [1000, 3000] as const }
    const grey = await save(from16Bits([0, 1000, 2000, 3000, 3001, 65_535], 6, 1).png())
    expect(await decode(grey, { width: 6, height: 1, limits })).toEqual(
      [0, 0, 128, 255, 255, 255].flatMap((v) => [v, v, v]),
    )
    const clear = await save(from16Bits([1000, 2000, 3000, 65_535, 1000, 2000, 3000, 0], 2, 4).png())
    expect(await decode(clear, { width: 2, height: 1, limits })).toEqual([0, 128, 255, 255, 255, 255])
    // Files of 8 bits are as they are.
    const plain = await save(fromBytes([1, 2, 3], 1).png())
    expect(await decode(plain, { width: 1, height: 1, limits })).toEqual([1, 2, 3])
  })
})

describe('the orientation of a PNG', () => {
  it('is found in a raw profile, as Pillow finds it', async () => {
    const path = join(cases, 'images/orientation/png-rawprofile-6.png')
    expect(await sizeOfImage(path, { minSide: 1, maxPixels: 1e6 })).toEqual({ width: 120, height: 160 })
    const turned = await decode(path, { width: 120, height: 160 })
    const stored = await sharp(path).raw().toBuffer() // 160 x 120, which libvips does not turn
    // Orientation 6: what is the first row when it is seen was the first column, from the bottom up.
    const at = (x: number, y: number) => [...stored.subarray((y * 160 + x) * 3, (y * 160 + x) * 3 + 3)]
    for (const [x, y] of [
      [0, 0],
      [119, 0],
      [7, 100],
      [60, 159],
    ] as const)
      expect(turned.slice((y * 120 + x) * 3, (y * 120 + x) * 3 + 3)).toEqual(at(y, 119 - x))
  })

  it('is that of eXIf where there is both, and a profile that is damaged is none', async () => {
    const { data } = await sharp(join(cases, 'images/orientation/png-rawprofile-6.png'))
      .raw()
      .toBuffer({ resolveWithObject: true })
    const plain = await fromBytes(data, 160).png().toBuffer()
    const text = (body: string) =>
      Buffer.concat([
        plain.subarray(0, 33),
        pngChunk('tEXt', Buffer.from(body, 'latin1')),
        plain.subarray(33),
      ])
    const exif = '49492a0008000000010012010300010000000600000000000000'
    const size = async (file: Buffer) =>
      (await sizeOfImage(await save(file), { minSide: 1, maxPixels: 1e6 })).width
    expect(await size(text(`Raw profile type exif\0\nexif\n      26\n${exif}\n`))).toBe(120)
    expect(await size(text(`Raw profile type APP1\0\ngeneric profile\n`))).toBe(160)
    expect(await size(text(`Raw profile type exif\0\nexif\n      26\nzz${exif}\n`))).toBe(160)
    const both = text(`Raw profile type exif\0\nexif\n      26\n${exif}\n`)
    const own = pngChunk('eXIf', Buffer.from(exif.replace('0600', '0100'), 'hex'))
    expect(await size(Buffer.concat([both.subarray(0, 33), own, both.subarray(33)]))).toBe(160)
  })
})

describe('BMP', () => {
  const colours = [
    [255, 0, 0, 0, 255, 0, 0, 0, 255],
    [255, 255, 255, 0, 0, 0, 255, 0, 255],
  ]
  it.each([1, 4, 8, 16, 24, 32] as const)('of %i bits is read, from bottom and from top', async (bits) => {
    const pixels =
      bits === 1
        ? [
            [0, 0, 0, 255, 0, 0, 0, 0, 0],
            [255, 0, 0, 0, 0, 0, 255, 0, 0],
          ]
        : colours
    for (const isTopDown of [false, true])
      for (const isCore of bits === 16 || bits === 32 || isTopDown ? [false] : [false, true]) {
        const path = await save(bmp(pixels, { bits, isTopDown, isCore }), 'a.jpg')
        expect(await decode(path, { width: 3, height: 2 })).toEqual(pixels.flat())
      }
  })

  it('with masks of its own and alpha is laid over white', async () => {
    const masks = [0xff, 0xff00, 0xff0000, 0xff000000]
    const rows = [[10, 20, 30, 10, 20, 30]]
    const path = await save(bmp(rows, { bits: 32, masks, alpha: [255, 0] }))
    expect(await decode(path, { width: 2, height: 1 })).toEqual([10, 20, 30, 255, 255, 255])
    // 5, 6 and 5 bits
    const short = await save(bmp([[255, 0, 0, 0, 255, 0]], { bits: 16, masks: [0xf800, 0x07e0, 0x1f] }))
    expect(await decode(short, { width: 2, height: 1 })).toEqual([255, 0, 0, 0, 255, 0])
  })

  it('under another name gives what it holds', async () => {
    const path = join(cases, 'images/bmp-named-jpg.jpg')
    const pixels = await decode(path, { width: 64, height: 48 })
    expect(pixels.slice(0, 6)).toEqual([230, 20, 20, 230, 20, 20])
    expect(await sizeOfImage(path, { minSide: 1, maxPixels: 1e6 })).toEqual({ width: 64, height: 48 })
  })

  it('is refused where it is cut, packed, or lies about its size', async () => {
    const file = bmp(colours, { bits: 24 })
    expect(await refusal(await save(file.subarray(0, file.length - 8)))).toMatch(
      /cut short: 75 bytes are needed/,
    )
    expect(await refusal(await save(file.subarray(0, 20)))).toMatch(/cut short in its header/)
    const changed = (at: number, value: number) => {
      const copy = Buffer.from(file)
      copy.writeUInt32LE(value, at)
      return save(copy)
    }
    expect(await refusal(await changed(18, 90_000))).toMatch(/cut short|more than/)
    expect(await refusal(await changed(18, 0xffffffff))).toMatch(/damaged BMP file: -1 x 2 pixels/)
    expect(await refusal(await changed(30, 1))).toMatch(
      /compression 1: .* without compression are read; save it as PNG/,
    )
    expect(await refusal(await changed(14, 7))).toMatch(/damaged: its header says that it has 7 bytes/)
    expect(await refusal(await changed(10, 0xfffffff0))).toMatch(/cut short/)
  })
})
