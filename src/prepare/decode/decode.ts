/**
 * One image file → one sample of uint8 pixels: plain JPEG by fast-jpeg.ts, BMP by bmp.ts, everything else here. The only file that
 * decodes with sharp (libvips), and so the one place that decides what a 16-bit, CMYK, palette, transparent or rotated
 * image looks like.
 *
 * The header is checked before any pixel is decoded, so that neither a gigapixel image nor a file that only calls
 * itself an image costs memory.
 */

import type { Metadata, Sharp } from 'sharp'
import { messageOf, SherdError } from '../../errors.ts'
import { sharp } from '../../files/sharp.ts'
import { pixelsAddon } from '../../native/pixels-addon.ts'
import type { Size } from '../../source/box.ts'
import { decodeBmp, sizeOfBmp } from './bmp.ts'
import { damageReason, warningOf } from './damage.ts'
import { late } from './deadline.ts'
import type { DecodeRequest, DecodeRules, ImageRequest } from './decode-request.ts'
import { decodeFastJpeg, openImage, type ReadImage, readImages } from './fast-jpeg.ts'
import { readImageFile } from './image-file.ts'
import { formatOf, type ImageFormat, readableFormats, unknownFormat } from './image-format.ts'
import { checkSize, defaultFileTimeout, lateReason, type SizeLimits } from './image-size.ts'
import { expectFewScans } from './jpeg-scans.ts'
import type { Placement } from './placement.ts'
import { withExif } from './png-exif.ts'
import { rgbOfInks, rgbOfRaw } from './raw-pixels.ts'
import { lastLine, reasonOf, refuse } from './refused-file.ts'
import { resample, type SampleSpace, sampleBytes } from './resample-pixels.ts'
import { resampleStored, type StoredPixels } from './resample-stored.ts'
import type { RgbImage } from './resize.ts'
import { storeSample } from './sample-layout.ts'
import { hasTiffAlpha } from './tiff-tags.ts'

/** 100 megapixels: 300 MB of RGB while such an image is rotated. */
export const defaultMaxPixels = 100e6

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
  pixelsAddon() // once in each process: its threads would otherwise compile it at the same time
}

/**
 * Decodes the image file `path` into `out` [target.height, target.width, channels]. EXIF orientation is applied, alpha
 * is laid over white, embedded colour profiles and CMYK become sRGB, 16 bits become 8 (by `range`, else the high byte), and of several
 * frames or pages the first is taken. The same file and placement always give the same bytes.
 *
 * Throws `DECODE` with the path and the reason when the file cannot be a sample.
 */
export async function decodeImage(path: string, request: DecodeRequest, out: Uint8Array): Promise<void> {
  const reason = await tryDecodeImage(path, request, out)
  if (reason !== null) throw new SherdError('DECODE', `Cannot use the image ${path}: ${reason}`)
}

/**
 * As `decodeImage`, but gives the reason why the file cannot be a sample, or null when it was decoded. `read`: the file,
 * where it was read ahead.
 */
export async function tryDecodeImage(
  path: string,
  { target, place, ...request }: DecodeRequest,
  out: Uint8Array,
  read?: ReadImage,
): Promise<string | null> {
  const bytes = sampleBytes({ target, ...request })
  if (out.length !== bytes && [1, 3].includes(request.channels))
    throw new SherdError('SHAPE', `decodeImage: expected room for ${bytes} bytes, got ${out.length}`)
  return tryDecode(path, { ...request, sample: (image) => ({ ...place(image), target, out }) }, read)
}

/** As `tryDecode`, of a file that is in memory: the same bytes give the same sample. */
export const tryDecodeBytes = (bytes: Uint8Array, request: ImageRequest): Promise<string | null> =>
  decodeFile({ read: async () => openImage(bytes), whole: async () => bytes }, request)

/** As `tryDecodeImage`, with a sample whose place is made when the image's size is known. */
export const tryDecode = (path: string, request: ImageRequest, read?: ReadImage): Promise<string | null> =>
  decodeFile(
    {
      read: async () =>
        read === undefined ? (await readImages([path], request.maxPixels, request.fileTimeout))[0] : read,
      whole: () => readImageFile(path, request.maxPixels, request.fileTimeout),
    },
    request,
  )

interface FileToDecode {
  /** As the addon has read it; none without the addon. */
  readonly read: () => Promise<ReadImage | undefined>
  readonly whole: () => Promise<Uint8Array>
}

async function decodeFile({ read, whole }: FileToDecode, request: ImageRequest): Promise<string | null> {
  if (request.channels !== 1 && request.channels !== 3)
    throw new SherdError(
      'VALUE',
      `An image file gives 1 or 3 channels, not ${request.channels}. Set channels to 1 or 3.`,
    )
  try {
    const file = await read()
    if (file === late) refuse(lateReason('reading it', request.fileTimeout ?? defaultFileTimeout))
    if (file instanceof Uint8Array) await decodeBySharp(file, request)
    else if (!file || !(await decodeFastJpeg(file, request))) await decodeBySharp(await whole(), request)
    return null
  } catch (error) {
    if (error instanceof SherdError && error.code !== 'DECODE') throw error
    return reasonOf(error)
  }
}

/** The size of an image after EXIF orientation, of its header alone. Throws when the file cannot be a sample. */
export async function sizeOfImage(path: string, limits: SizeLimits): Promise<Size> {
  const file = await readImageFile(path, limits.maxPixels, limits.fileTimeout)
  const format = formatOf(file)
  if (format === null) refuse(unknownFormat(file))
  if (format === 'bmp') return checked(sizeOfBmp(file), limits)
  return checkedSize(await readHeader(oriented(file, format), format), limits)
}

/** What the header of an image says, and what becomes of it. */
export interface ImageFacts extends Size {
  readonly format: ImageFormat
  /** Of EXIF, 1 to 8; width and height are those after it. */
  readonly orientation: number
  /** Of each value. Only 8 and 16 are read. */
  readonly bits: number
  /** In the file, with alpha and other bands. */
  readonly channels: number
  /** `grey`, `RGB`, `CMYK`, or libvips' name of what is not read. */
  readonly colours: string
  readonly isPalette: boolean
  readonly isAlpha: boolean
  /** The embedded colour profile (ICC), unparsed. */
  readonly profile: Uint8Array | null
  /** Frames or pages, of which the first is read. */
  readonly pages: number
}

const colourNames: Readonly<Record<string, string>> = {
  ...{ srgb: 'RGB', rgb16: 'RGB', rgb: 'RGB', 'b-w': 'grey', grey16: 'grey', cmyk: 'CMYK' },
}

const depthBits: Readonly<Record<string, number>> = {
  ...{ uchar: 8, char: 8, ushort: 16, short: 16, uint: 32, int: 32, float: 32, double: 64 },
}

/** The facts of a file that is in memory. Throws when its header cannot be read; what is read of it may still be refused. */
export async function factsOfImage(file: Uint8Array): Promise<ImageFacts> {
  const format = formatOf(file)
  if (format === null) refuse(unknownFormat(file))
  if (format === 'bmp')
    return {
      ...{ ...sizeOfBmp(file), format, orientation: 1, bits: 8, channels: 3, colours: 'RGB' },
      ...{ isPalette: false, isAlpha: false, profile: null, pages: 1 },
    }
  const header = await readHeader(oriented(file, format), format)
  return {
    ...{ width: header.autoOrient.width, height: header.autoOrient.height, format },
    orientation: header.orientation ?? 1,
    bits: depthBits[header.depth] ?? 0,
    channels: header.channels,
    colours: colourNames[header.space] ?? header.space,
    isPalette: header.isPalette,
    isAlpha: header.hasAlpha && (format !== 'tiff' || hasTiffAlpha(file)),
    profile: header.icc ?? null,
    pages: header.pages ?? 1,
  }
}

const checked = (size: Size, limits: SizeLimits): Size => {
  checkSize(size, limits)
  return size
}

/** A file as libvips finds its orientation. */
const oriented = (file: Uint8Array, format: ImageFormat): Uint8Array =>
  format === 'png' ? withExif(file) : file

/** A JPEG is given up at a warning of damage unless such images are kept, and at no other warning. */
async function decodeBySharp(file: Uint8Array, request: ImageRequest): Promise<void> {
  const { corrupt, fileTimeout = defaultFileTimeout } = request
  const isJpeg = formatOf(file) === 'jpeg'
  if (isJpeg) expectFewScans(file)
  const decode = (failOn: FailOn) =>
    decodeWhere(file, request, { failOn, seconds: Math.ceil(fileTimeout) }).catch((error: unknown) => {
      if (/^timeout: /.test(messageOf(error))) refuse(lateReason('decoding it', fileTimeout))
      throw error
    })
  if (!isJpeg || corrupt === 'keep') return decode('error')
  try {
    await decode('warning')
  } catch (error) {
    const said = lastLine(error)
    const warning = warningOf(said)
    if (warning === 'damage') refuse(damageReason(said.replace(/^VipsJpeg: /, '')))
    if (warning === null) throw error
    await decode('error')
  }
}

type FailOn = 'error' | 'warning'
interface Watch {
  /** At what libvips gives up. */
  readonly failOn: FailOn
  readonly seconds: number
}

async function decodeWhere(given: Uint8Array, request: ImageRequest, watch: Watch): Promise<void> {
  const { channels, range = null, rules = {} } = request
  const format = formatOf(given)
  if (format === null) refuse(unknownFormat(given))
  if (format === 'bmp') {
    const { target, out, ...placement } = request.sample(checked(sizeOfBmp(given), request))
    return resample(decodeBmp(given), placement, { target, channels, out, rules })
  }
  const file = oriented(given, format)
  const isStored = isAsStored(rules)
  const small = isStored ? null : await decodeSmallJpeg(file, format, watch)
  if (small) {
    checkSize(small, request)
    const { target, out, ...placement } = request.sample(small)
    return resample(small, placement, { target, channels, out, rules })
  }
  const header = await readHeader(file, format)
  const { target, out, ...placement } = request.sample(checkedSize(header, request))
  const space = { target, channels, out, rules }
  const isAlpha = header.hasAlpha && (format !== 'tiff' || hasTiffAlpha(file))
  const isRanged = range !== null && header.depth === 'ushort' && header.space !== 'cmyk'
  const { box } = placement
  const own = { ...placement, box: { ...box, left: 0, top: 0 } }
  const isInks = header.space === 'cmyk'
  if (rules.colours === 'resized' && (isInks || isAlpha) && !rules.isExact) {
    const stored = isInks ? await inksOf(file, box, watch) : await alphaOf(file, header, box, watch)
    return resampleStored({ ...stored, isInks, width: box.width, height: box.height }, own, space)
  }
  if (isStored && isInks) {
    const { values, channels: inks } = await inksOf(file, box, watch)
    return resample({ pixels: rgbOfInks(values, inks), ...box }, own, space)
  }
  if (isAlpha === header.hasAlpha && !isRanged) return decodeBox(file, header, placement, space, watch)
  const pixels = rgbOfRaw(
    { ...(await rawOf(file, header, box, { ...watch, isStored })), hasAlpha: isAlpha && !isStored },
    isRanged ? range : null,
  )
  resample({ pixels, ...box }, own, space)
}

const isAsStored = ({ colours = 'shown' }: Pick<DecodeRules, 'colours'>): boolean => colours !== 'shown'

/** Bytes [height, width, channels]. */
type StoredValues = Pick<StoredPixels, 'values' | 'channels'>

/** The inks of a box as they are stored. */
async function inksOf(
  file: Uint8Array,
  { left, top, width, height }: Placement['box'],
  { failOn, seconds }: Watch,
): Promise<StoredValues> {
  const { data, info } = await sharp(file, {
    failOn,
    autoOrient: true,
    limitInputPixels: false,
    ignoreIcc: true,
  })
    .timeout({ seconds })
    .extract({ left, top, width, height })
    .pipelineColourspace('cmyk')
    .toColourspace('cmyk')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  return { values: data, channels: info.channels }
}

/** The colours and the alpha of a box as they are stored; of 16 bits the high byte. */
async function alphaOf(
  file: Uint8Array,
  header: Metadata,
  box: Placement['box'],
  watch: Watch,
): Promise<StoredValues> {
  const { values, channels } = await rawOf(file, header, box, { ...watch, isStored: true })
  return {
    values: values instanceof Uint16Array ? Uint8Array.from(values, (value) => value >> 8) : values,
    channels,
  }
}

/** A box of an image with all of its bands, of as many bits as it has. */
async function rawOf(
  file: Uint8Array,
  { depth, space, hasProfile }: Metadata,
  { left, top, width, height }: Placement['box'],
  { failOn, seconds, isStored }: Watch & { readonly isStored: boolean },
): Promise<{ values: Uint8Array | Uint16Array; channels: number }> {
  const isWide = depth === 'ushort'
  const decoder = sharp(file, { failOn, autoOrient: true, limitInputPixels: false, ignoreIcc: isStored })
    .timeout({ seconds })
    .extract({ left, top, width, height })
    .toColourspace(isWide ? (space === 'grey16' ? 'grey16' : 'rgb16') : 'srgb')
    .raw({ depth: isWide ? 'ushort' : 'uchar' })
  if (space === 'rgb16' && hasProfile && !isStored) decoder.withIccProfile('srgb')
  const { data, info } = await decoder.toBuffer({ resolveWithObject: true })
  if (!isWide) return { values: data, channels: info.channels }
  const own = data.byteOffset % 2 === 0 ? data : Buffer.from(data)
  return { values: new Uint16Array(own.buffer, own.byteOffset, own.length / 2), channels: info.channels }
}

/**
 * A JPEG of few bytes, whole and in one call: to ask libvips for the header first would cost half as much again. It
 * needs no such check, for a JPEG has 8 bits and 1, 3 or 4 channels. Null when the file is no small JPEG or anything is
 * wrong with it; the longer way then says what.
 */
async function decodeSmallJpeg(
  file: Uint8Array,
  format: ImageFormat,
  { failOn, seconds }: Watch,
): Promise<RgbImage | null> {
  if (format !== 'jpeg' || file.length > SMALL_FILE_BYTES) return null
  const whole = await sharp(file, { failOn, autoOrient: true, limitInputPixels: SMALL_PIXELS })
    .timeout({ seconds })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch(() => null)
  if (whole?.info.channels !== 3) return null
  return { pixels: whole.data, width: whole.info.width, height: whole.info.height }
}

async function readHeader(file: Uint8Array, format: ImageFormat): Promise<Metadata> {
  const limits = { limitInputPixels: false, limitInputChannels: MAX_CHANNELS } as const
  const header = await sharp(file, { failOn: 'error', ...limits }).metadata()
  if (header.format !== format || (format === 'heif' && header.compression !== 'av1'))
    refuse(`expected a ${readableFormats} image, got ${header.format} ${header.compression ?? ''}`)
  return header
}

function checkedSize(header: Metadata, limits: SizeLimits): Size {
  const size = { width: header.autoOrient.width, height: header.autoOrient.height }
  checkSize(size, limits)
  const colours = header.channels - (header.hasAlpha ? 1 : 0)
  if (SPACES[header.space] !== colours || !DEPTHS.includes(header.depth))
    refuse(
      `expected grey, RGB or CMYK of 8 or 16 bits, with or without alpha; got ${header.channels} channels ` +
        `(${header.space}) of type ${header.depth}; convert the image`,
    )
  return size
}

/**
 * A box of the image → the sample. Large boxes that shrink by the usual rules are left to libvips and its threads; what it makes of them
 * differs from Pillow by a grey level or so, by more only beyond four-fold shrinking.
 */
async function decodeBox(
  file: Uint8Array,
  header: Metadata,
  placement: Placement,
  space: SampleSpace & Pick<ImageRequest, 'rules'>,
  { failOn, seconds }: Watch,
): Promise<void> {
  const { target, channels, out, rules = {} } = space
  const { box, flip, cut } = placement
  const isStored = isAsStored(rules)
  const decoder = sharp(file, { failOn, autoOrient: true, limitInputPixels: false, ignoreIcc: isStored })
    .timeout({ seconds })
    .extract({ left: box.left, top: box.top, width: box.width, height: box.height })
    .toColourspace('srgb')
    .raw()
  if (isStored) decoder.removeAlpha()
  else decoder.flatten({ background: '#ffffff' })
  // Without this, sharp 0.35 leaves 16-bit images that carry a profile in Display P3.
  if (header.space === 'rgb16' && header.hasProfile && !isStored) decoder.withIccProfile('srgb')
  const isUsual = !cut && !rules.isExact && (rules.interpolation ?? 'bicubic') === 'bicubic'
  const isSame = box.width === target.width && box.height === target.height
  const shrinks = !isSame && box.width >= target.width && box.height >= target.height
  if (isUsual && (isSame || (shrinks && box.width * box.height > SMALL_PIXELS))) {
    if (shrinks) decoder.resize(target.width, target.height, { fit: 'fill', kernel: 'cubic' })
    storeSample(await rgbOf(decoder), out, { width: target.width, channels, flip })
  } else
    resample(
      { pixels: await rgbOf(decoder), ...box },
      { ...placement, box: { ...box, left: 0, top: 0 } },
      space,
    )
}

async function rgbOf(decoder: Sharp): Promise<Uint8Array> {
  const { data, info } = await decoder.toBuffer({ resolveWithObject: true })
  if (info.channels !== 3)
    refuse(`expected RGB values from libvips, got ${info.channels} channels; convert the image`)
  return data
}
