/**
 * Reads masks of class indices: PNG or TIFF in grey or with a palette, of which the indices count. PNG headers are rewritten as grey, since
 * libvips would return colours. TIFF files are read as rasters.
 */
import { crc32 } from 'node:zlib'
import { sharp } from '../../files/sharp.ts'
import type { Box, Size } from '../../source/box.ts'
import { blockCache } from '../../source/raster/block-cache.ts'
import { openGeotiff } from '../../source/tiff/geotiff.ts'
import { readImageFile } from '../decode/image-file.ts'
import { formatOf } from '../decode/image-format.ts'
import { checkSize } from '../decode/image-size.ts'
import { refuse } from '../decode/refused-file.ts'

export interface IndexMask extends Size {
  /** [height, width] */
  readonly indices: Uint8Array | Uint16Array
}

const SIGNATURE = 8
const IHDR = { type: 4, width: 8, height: 12, depth: 16, colour: 17, end: 25 } // from its length on
const GREY = 0
const PALETTE = 3

interface GreyPng extends Size {
  readonly file: Buffer
  readonly depth: number
}

/** Rewrites a PNG as grey, without palette, profiles or text. */
function asGrey(file: Buffer): GreyPng {
  const kept: Buffer[] = [file.subarray(0, SIGNATURE)]
  let header: Buffer | null = null
  for (let at = SIGNATURE; at + 12 <= file.length; ) {
    const end = at + 12 + file.readUInt32BE(at)
    if (end > file.length) refuse('the file ends in the middle of a part')
    const chunk = file.subarray(at, end)
    const type = chunk.toString('latin1', IHDR.type, IHDR.type + 4)
    if (!header) {
      if (type !== 'IHDR' || chunk.length !== IHDR.end) refuse('a PNG without its header')
      header = Buffer.from(chunk)
      const colour = header[IHDR.colour]!
      if (colour !== GREY && colour !== PALETTE)
        refuse('expected class numbers, a grey PNG or one with a palette, but it holds colours')
      header[IHDR.colour] = GREY
      header.writeUInt32BE(crc32(header.subarray(IHDR.type, IHDR.end - 4)), IHDR.end - 4)
      kept.push(header)
    } else if (type === 'IDAT' || type === 'IEND') kept.push(chunk)
    at = end
  }
  if (!header) refuse('a PNG without its header')
  return {
    file: Buffer.concat(kept),
    depth: header[IHDR.depth]!,
    width: header.readUInt32BE(IHDR.width),
    height: header.readUInt32BE(IHDR.height),
  }
}

/** Throws `DECODE` if the file is not a mask, and errors of the file system. */
export async function readIndexMask(path: string, maxPixels: number): Promise<IndexMask> {
  const read = await readImageFile(path, maxPixels)
  const format = formatOf(read)
  if (format === 'tiff') return readTiffMask(path, maxPixels)
  if (format !== 'png') refuse('expected a mask as PNG or TIFF')
  const { file, depth, width, height } = asGrey(read)
  checkSize({ width, height }, { minSide: 1, maxPixels })
  const isWide = depth === 16
  const { data } = await sharp(file, { failOn: 'error', limitInputPixels: maxPixels })
    .toColourspace(isWide ? 'grey16' : 'b-w')
    .raw({ depth: isWide ? 'ushort' : 'uchar' })
    .toBuffer({ resolveWithObject: true })
  const count = width * height
  if (isWide) return { width, height, indices: new Uint16Array(data.buffer.slice(data.byteOffset), 0, count) }
  // Decoders scale fewer bits to the whole range: 1 of a one-bit mask becomes 255.
  const unit = 255 / (2 ** depth - 1)
  return {
    width,
    height,
    indices: unit === 1 ? new Uint8Array(data) : Uint8Array.from(data, (v) => v / unit),
  }
}

/** Largest class index. */
const MOST = 65_535

async function readTiffMask(path: string, maxPixels: number): Promise<IndexMask> {
  const file = await openGeotiff({ path, blocks: blockCache(0, () => 0) })
  try {
    const { layers } = await file.describe(1)
    const [{ width, height }] = [layers[0]!]
    const numbers = layers.filter(({ isAlpha }) => !isAlpha)
    if (numbers.length !== 1) refuse(`expected class numbers, one band, but it has ${numbers.length} bands`)
    checkSize({ width, height }, { minSide: 1, maxPixels })
    const region = { left: 0, top: 0, width, height }
    const place = { file: path, band: numbers[0]!.band }
    // The file's no-data value is an ordinary index: --ignore sets the ignored one.
    const [values] = await file.read([place], region, { nodata: Number.NaN })
    const odd = values!.find((value) => !(Number.isInteger(value) && value >= 0 && value <= MOST))
    if (odd !== undefined)
      refuse(
        Number.isNaN(odd)
          ? 'it has pixels without data: give them a number, and say with --ignore that it is no class'
          : `expected whole numbers from 0 to ${MOST}, but it holds ${odd}`,
      )
    return { width, height, indices: Uint16Array.from(values!) }
  } finally {
    await file.close()
  }
}

/** Crops and resizes a mask by nearest neighbour: [target.height, target.width]. */
export function resizeMask({ width, indices }: IndexMask, box: Box, target: Size): Uint16Array {
  const at = (i: number, from: number, side: number, to: number) => from + Math.floor(((i + 0.5) * side) / to)
  const columns = Uint32Array.from({ length: target.width }, (_, x) =>
    at(x, box.left, box.width, target.width),
  )
  const out = new Uint16Array(target.width * target.height)
  for (let y = 0; y < target.height; y++) {
    const row = at(y, box.top, box.height, target.height) * width
    for (let x = 0; x < target.width; x++) out[y * target.width + x] = indices[row + columns[x]!]!
  }
  return out
}
