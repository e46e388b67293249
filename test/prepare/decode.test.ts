import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp, { type Sharp } from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Box, centerCrop } from '../../src/prepare/crop.ts'
import {
  configureDecoder,
  type DecodeRequest,
  decodeImage,
  tryDecodeImage,
} from '../../src/prepare/decode.ts'
import { resizeBicubic } from '../../src/prepare/resize.ts'
import {
  blackPng,
  from16Bits,
  fromBytes,
  plainTiff,
  scene,
  temporaryFolder,
  withProfile,
} from './make-images.ts'

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

interface Wish {
  readonly width: number
  readonly height: number
  readonly channels?: number
  readonly box?: Box
  readonly flip?: boolean
  readonly limits?: Partial<Pick<DecodeRequest, 'minSide' | 'maxPixels'>>
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
    expect(await refusal(dir)).toMatch(/EISDIR/)
  })

  it('what is no image, whatever its name', async () => {
    expect(await refusal(await save('just some text\n', 'text.jpg'))).toBe(
      'expected a JPEG, PNG, WebP, TIFF, AVIF or GIF image, but the file starts with "just some text."',
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
