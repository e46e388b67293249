/**
 * Writes GeoTIFF: little-endian classic TIFF (TIFF 6.0) with georeference (OGC 19-008r4) and band names as GDAL reads
 * them. The writer of geotiff.js can neither name bands nor compress. Not for files of 4 GB and more.
 */

import { deflateSync } from 'node:zlib'
import { SherdError } from '../errors.ts'
import { escapeXml } from '../files/xml.ts'

export type GeoTiffValues = Uint8Array | Uint16Array | Int16Array | Float32Array

export interface GeoTiffBand {
  /** Description of the band, or null. */
  readonly name: string | null
  /** [height, width], of the same type in all bands. */
  readonly values: GeoTiffValues
}

export interface GeoTiffGround {
  /** EPSG code: geographic from 4000 to 4999, else projected. */
  readonly epsg: number
  /** Upper left corner of the image: x to the east, y to the north. */
  readonly corner: readonly [number, number]
  readonly pixel: number
}

export interface GeoTiff {
  readonly width: number
  readonly height: number
  readonly bands: readonly GeoTiffBand[]
  readonly ground?: GeoTiffGround
  readonly nodata?: number
  /** Planar (default) or interleaved. */
  readonly interleave?: 'band' | 'pixel'
  /** Default `deflate`. */
  readonly compression?: 'deflate' | 'none'
  /** Side of square tiles, a multiple of 16; default: strips. */
  readonly tile?: number
}

interface Field {
  readonly tag: number
  readonly type: number
  readonly count: number
  readonly bytes: Buffer
}

const short = (tag: number, ...values: number[]): Field => field(tag, 3, Uint16Array.from(values))
const long = (tag: number, ...values: number[]): Field => field(tag, 4, Uint32Array.from(values))
const double = (tag: number, ...values: number[]): Field => field(tag, 12, Float64Array.from(values))
const ascii = (tag: number, text: string): Field => field(tag, 2, Buffer.from(`${text}\0`, 'utf8'))

const bytesOf = ({ buffer, byteOffset, byteLength }: NodeJS.TypedArray): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength)

function field(tag: number, type: number, values: NodeJS.TypedArray): Field {
  return { tag, type, count: values.length, bytes: bytesOf(values) }
}

function check({ width, height, bands, tile }: GeoTiff): void {
  const first = bands[0]?.values
  const odd = bands.findIndex(
    ({ values }) => values.length !== width * height || values.constructor !== first!.constructor,
  )
  if (!first || odd >= 0)
    throw new SherdError(
      'SHAPE',
      `encodeGeoTiff: expected at least one band, each of ${width} × ${height} values of one kind; ${first ? `band ${odd} has ${bands[odd]!.values.length} (${bands[odd]!.values.constructor.name})` : 'got none'}`,
    )
  if (tile !== undefined && (!Number.isSafeInteger(tile) || tile < 16 || tile % 16 !== 0))
    throw new SherdError('VALUE', `encodeGeoTiff: expected tile, a multiple of 16, got ${tile}`)
}

/** The planes to store: one for each band, or a single interleaved one. */
function planesOf({ bands, interleave }: GeoTiff): { planes: GeoTiffValues[]; samples: number } {
  if (interleave !== 'pixel') return { planes: bands.map(({ values }) => values), samples: 1 }
  const samples = bands.length
  const plane = emptyLike(bands[0]!.values, samples * bands[0]!.values.length)
  for (const [b, { values }] of bands.entries())
    for (let i = 0; i < values.length; i++) plane[i * samples + b] = values[i]!
  return { planes: [plane], samples }
}

const emptyLike = (values: GeoTiffValues, length: number): GeoTiffValues =>
  new (values.constructor as new (length: number) => GeoTiffValues)(length)

/** The compressed strips or tiles of every plane, in order. Tiles are padded with 0. */
function chunksOf(image: GeoTiff, rowsPerStrip: number): Buffer[] {
  const { width, height, tile } = image
  const { planes, samples } = planesOf(image)
  const chunkWidth = tile ?? width
  const chunks: Buffer[] = []
  for (const plane of planes)
    for (let top = 0; top < height; top += tile ?? rowsPerStrip)
      for (let left = 0; left < width; left += chunkWidth) {
        const rows = Math.min(tile ?? rowsPerStrip, height - top)
        const columns = Math.min(chunkWidth, width - left)
        const chunk = emptyLike(plane, (tile ?? rows) * chunkWidth * samples)
        for (let row = 0; row < rows; row++) {
          const from = ((top + row) * width + left) * samples
          chunk.set(plane.subarray(from, from + columns * samples), row * chunkWidth * samples)
        }
        const bytes = bytesOf(chunk)
        chunks.push(image.compression === 'none' ? bytes : deflateSync(bytes))
      }
  return chunks
}

function groundFields({ epsg, corner, pixel }: GeoTiffGround): Field[] {
  const geographic = epsg >= 4000 && epsg < 5000
  // Version 1.1.0, three keys of (number, where, count, value): kind of coordinates, a pixel is an area, EPSG code.
  const keys = [1, 1, 0, 3, 1024, 0, 1, geographic ? 2 : 1, 1025, 0, 1, 1]
  return [
    double(33550, pixel, pixel, 0), // ModelPixelScale
    double(33922, 0, 0, 0, corner[0], corner[1], 0), // ModelTiepoint
    short(34735, ...keys, geographic ? 2048 : 3072, 0, 1, epsg),
  ]
}

function nameFields(bands: readonly GeoTiffBand[]): Field[] {
  // GDAL escapes XML twice: the text of an item, then the whole.
  const items = bands.flatMap(({ name }, b) =>
    name
      ? [`<Item name="DESCRIPTION" sample="${b}" role="description">${escapeXml(escapeXml(name))}</Item>`]
      : [],
  )
  return items.length > 0 ? [ascii(42112, `<GDALMetadata>${items.join('')}</GDALMetadata>`)] : []
}

/** Throws `SHAPE` if the bands differ in size, `VALUE` for a tile size that TIFF does not allow. */
export function encodeGeoTiff(image: GeoTiff): Buffer {
  check(image)
  const { width, height, bands, tile, ground, nodata } = image
  const { values } = bands[0]!
  const sampleFormat = values instanceof Float32Array ? 3 : values instanceof Int16Array ? 2 : 1
  const each = <T>(value: T) => bands.map(() => value)
  const perRow = width * values.BYTES_PER_ELEMENT * (image.interleave === 'pixel' ? bands.length : 1)
  const rowsPerStrip = Math.min(height, Math.max(1, Math.floor(65_536 / perRow)))
  const chunks = chunksOf(image, rowsPerStrip)
  const lengths = chunks.map(({ length }) => length)

  // Ascending, as TIFF requires.
  const fieldsWith = (offsets: readonly number[]): Field[] => [
    long(256, width),
    long(257, height),
    short(258, ...each(8 * values.BYTES_PER_ELEMENT)), // BitsPerSample
    short(259, image.compression === 'none' ? 1 : 8), // Compression; 8: zlib's deflate
    short(262, 1), // PhotometricInterpretation: 0 is black
    ...(tile ? [] : [long(273, ...offsets)]), // StripOffsets
    short(277, bands.length), // SamplesPerPixel
    ...(tile ? [] : [long(278, rowsPerStrip), long(279, ...lengths)]), // StripByteCounts
    short(284, image.interleave === 'pixel' ? 1 : 2), // PlanarConfiguration
    ...(tile ? [long(322, tile), long(323, tile), long(324, ...offsets), long(325, ...lengths)] : []),
    ...(bands.length > 1 ? [short(338, ...each(0).slice(1))] : []), // ExtraSamples: unspecified
    short(339, ...each(sampleFormat)),
    ...(ground ? groundFields(ground) : []),
    ...nameFields(bands),
    ...(nodata === undefined ? [] : [ascii(42113, String(nodata).toLowerCase())]), // GDAL_NODATA
  ]
  return assemble(fieldsWith, chunks)
}

/** Header, directory, long fields, chunks. */
function assemble(fieldsWith: (offsets: readonly number[]) => Field[], chunks: readonly Buffer[]): Buffer {
  const even = (n: number) => n + (n % 2)
  const sizing = fieldsWith(chunks.map(() => 0))
  const beyond = 8 + 2 + 12 * sizing.length + 4 // header, directory
  let at = sizing.reduce((end, { bytes }) => end + (bytes.length > 4 ? even(bytes.length) : 0), beyond)
  const offsets = chunks.map(({ length }) => {
    const offset = at
    at += even(length)
    return offset
  })
  if (at >= 2 ** 32)
    throw new SherdError('VALUE', `encodeGeoTiff: ${at} bytes are too many for a classic TIFF`)
  const file = Buffer.alloc(at)
  file.write('II*\0', 'latin1')
  file.writeUInt32LE(8, 4)
  file.writeUInt16LE(sizing.length, 8)
  let far = beyond
  for (const [i, { tag, type, count, bytes }] of fieldsWith(offsets).entries()) {
    const entry = 10 + 12 * i
    file.writeUInt16LE(tag, entry)
    file.writeUInt16LE(type, entry + 2)
    file.writeUInt32LE(count, entry + 4)
    if (bytes.length <= 4) bytes.copy(file, entry + 8)
    else {
      file.writeUInt32LE(far, entry + 8)
      bytes.copy(file, far)
      far += even(bytes.length)
    }
  }
  for (const [i, chunk] of chunks.entries()) chunk.copy(file, offsets[i]!)
  return file
}
