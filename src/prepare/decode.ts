/**
 * One image file → one sample of uint8 pixels. The only file that decodes with sharp (libvips), and so the one place
 * that decides what a 16-bit, CMYK, palette, transparent or rotated image looks like.
 *
 * The header is checked before any pixel is decoded, so that neither a gigapixel image nor a file that only calls
 * itself an image costs memory.
 */
import sharp, { type Metadata, type Sharp } from 'sharp'
import { SherdError } from '../errors.ts'
import type { Box, Size } from './crop.ts'
import { megapixels, readImageFile } from './image-file.ts'
import { formatOf, type ImageFormat, readableFormats, startOf } from './image-format.ts'
import { reasonOf, refuse } from './refusal.ts'
import { type RgbImage, resizeBicubic } from './resize.ts'
import { storeSample } from './sample-layout.ts'

/** 100 megapixels: 300 MB of RGB while such an image is rotated. */
export const defaultMaxPixels = 100e6

/** Where a sample lies in its image, decided when the image's size is known. */
export interface Placement {
  readonly box: Box
  /** Mirrored left to right. */
  readonly flip: boolean
}

export interface DecodeRequest {
  /** The sample's size. */
  readonly target: Size
  /** 3: sRGB. 1: luma (ITU-R 601, as Pillow and torchvision have it). */
  readonly channels: number
  /** An image with a side shorter than this is refused. */
  readonly minSide: number
  /** An image of more pixels than this is refused. */
  readonly maxPixels: number
  /** `image`: the size after EXIF orientation. */
  readonly place: (image: Size) => Placement
}

/** libvips' names of what has a fixed range and so an 8-bit form, and how many channels that has without alpha. */
const SPACES: Readonly<Record<string, number>> = { srgb: 3, rgb16: 3, 'b-w': 1, grey16: 1, cmyk: 4 }
const MAX_CHANNELS = 65_535
const DEPTHS = ['uchar', 'ushort']
/** Boxes up to this size are resized here, larger ones that shrink by libvips. */
const SMALL_PIXELS = 128 * 128
const SMALL_FILE_BYTES = 8192

/**
 * Sets libvips for decoding many images at once: one thread for each image, and no cache of what will not be read
 * again. libvips has one such setting for the whole process.
 */
export function configureDecoder(): void {
  sharp.concurrency(1)
  sharp.cache(false)
}

/**
 * Decodes the image file `path` into `out` [target.height, target.width, channels]. EXIF orientation is applied, alpha
 * is laid over white, embedded colour profiles and CMYK become sRGB, 16 bits become 8 (the high byte), and of several
 * frames or pages the first is taken. The same file and placement always give the same bytes.
 *
 * Throws `DECODE` with the path and the reason when the file cannot be a sample.
 */
export async function decodeImage(path: string, request: DecodeRequest, out: Uint8Array): Promise<void> {
  const reason = await tryDecodeImage(path, request, out)
  if (reason !== null) throw new SherdError('DECODE', `Cannot use the image ${path}: ${reason}`)
}

/** As `decodeImage`, but gives the reason why the file cannot be a sample, or null when it was decoded. */
export async function tryDecodeImage(
  path: string,
  request: DecodeRequest,
  out: Uint8Array,
): Promise<string | null> {
  const { target, channels } = request
  if (channels !== 1 && channels !== 3)
    throw new SherdError(
      'VALUE',
      `An image file gives 1 or 3 channels, not ${channels}. Set channels to 1 or 3.`,
    )
  const bytes = target.width * target.height * channels
  if (out.length !== bytes)
    throw new SherdError('SHAPE', `decodeImage: expected room for ${bytes} bytes, got ${out.length}`)
  try {
    const { rgb, flip } = await decodeRgb(await readImageFile(path, request.maxPixels), request)
    storeSample(rgb, out, { width: target.width, channels, flip })
    return null
  } catch (error) {
    if (error instanceof SherdError && error.code !== 'DECODE') throw error
    return reasonOf(error)
  }
}

interface Decoded {
  /** [target.height, target.width, 3], not yet flipped. */
  readonly rgb: Uint8Array
  readonly flip: boolean
}

async function decodeRgb(file: Buffer, request: DecodeRequest): Promise<Decoded> {
  const format = formatOf(file)
  if (format === null)
    refuse(`expected a ${readableFormats} image, but the file starts with ${startOf(file)}`)
  const small = await decodeSmallJpeg(file, format)
  if (small) {
    checkSize(small, request)
    const { box, flip } = request.place(small)
    return { rgb: resizeBicubic(small, box, request.target), flip }
  }
  const header = await readHeader(file, format)
  const { box, flip } = checkedPlacement(header, request)
  return { rgb: await decodeBox(file, header, { box, target: request.target }), flip }
}

/**
 * A JPEG of few bytes, whole and in one call: to ask libvips for the header first would cost half as much again. It
 * needs no such check, for a JPEG has 8 bits and 1, 3 or 4 channels. Null when the file is no small JPEG or anything is
 * wrong with it; the longer way then says what.
 */
async function decodeSmallJpeg(file: Buffer, format: ImageFormat): Promise<RgbImage | null> {
  if (format !== 'jpeg' || file.length > SMALL_FILE_BYTES) return null
  const whole = await sharp(file, { failOn: 'error', autoOrient: true, limitInputPixels: SMALL_PIXELS })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch(() => null)
  if (whole?.info.channels !== 3) return null
  return { pixels: whole.data, width: whole.info.width, height: whole.info.height }
}

async function readHeader(file: Buffer, format: ImageFormat): Promise<Metadata> {
  const limits = { limitInputPixels: false, limitInputChannels: MAX_CHANNELS } as const
  const header = await sharp(file, { failOn: 'error', ...limits }).metadata()
  if (header.format !== format || (format === 'heif' && header.compression !== 'av1'))
    refuse(`expected a ${readableFormats} image, got ${header.format} ${header.compression ?? ''}`)
  return header
}

function checkedPlacement(header: Metadata, request: DecodeRequest): Placement {
  const size = { width: header.autoOrient.width, height: header.autoOrient.height }
  checkSize(size, request)
  const colours = header.channels - (header.hasAlpha ? 1 : 0)
  if (SPACES[header.space] !== colours || !DEPTHS.includes(header.depth))
    refuse(
      `expected grey, RGB or CMYK of 8 or 16 bits, with or without alpha; got ${header.channels} channels ` +
        `(${header.space}) of type ${header.depth}; convert the image`,
    )
  return request.place(size)
}

function checkSize({ width, height }: Size, { minSide, maxPixels }: DecodeRequest): void {
  const shape = `${width} x ${height} pixels`
  if (width * height > maxPixels)
    refuse(
      `${shape} are more than the limit of ${megapixels(maxPixels)}; shrink the image, or raise the limit`,
    )
  if (Math.min(width, height) < minSide)
    refuse(
      `${shape} are less than one patch of ${minSide} x ${minSide}; remove the image, or use smaller patches`,
    )
}

/**
 * A box of the image → [target.height, target.width, 3]. Large boxes that shrink are left to libvips and its
 * threads; what it makes of them differs from Pillow by a grey level or so, by more only beyond four-fold shrinking.
 */
async function decodeBox(
  file: Buffer,
  header: Metadata,
  { box, target }: { box: Box; target: Size },
): Promise<Uint8Array> {
  const decoder = sharp(file, { failOn: 'error', autoOrient: true, limitInputPixels: false })
    .extract({ left: box.left, top: box.top, width: box.width, height: box.height })
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .raw()
  // Without this, sharp 0.35 leaves 16-bit images that carry a profile in Display P3.
  if (header.space === 'rgb16' && header.hasProfile) decoder.withIccProfile('srgb')
  const shrinks = box.width >= target.width && box.height >= target.height
  if (shrinks && box.width * box.height > SMALL_PIXELS)
    return rgbOf(decoder.resize(target.width, target.height, { fit: 'fill', kernel: 'cubic' }))
  const pixels = await rgbOf(decoder)
  return resizeBicubic({ pixels, ...box }, { ...box, left: 0, top: 0 }, target)
}

async function rgbOf(decoder: Sharp): Promise<Uint8Array> {
  const { data, info } = await decoder.toBuffer({ resolveWithObject: true })
  if (info.channels !== 3)
    refuse(`expected RGB values from libvips, got ${info.channels} channels; convert the image`)
  return data
}
