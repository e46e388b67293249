/** Layout of the pixels in a TIFF file: the relevant tags, checked for consistency before memory is allocated. */
import type { GeoTIFFImage } from 'geotiff'
import { unusable } from '../../files/byte-file.ts'
import type { Size } from '../box.ts'
import { noDataNumber } from '../raster/no-data.ts'
import { isReadable, type SampleType } from '../raster/sample-type.ts'
import { type BlockLayout, canUnpack, rowBytesOf, whyUnreadable } from './tiff-block.ts'

const MAX_BLOCK_BYTES = 2 ** 29
const MAX_BANDS = 4096

export interface Layout extends Size {
  readonly block: BlockLayout
  readonly bands: number
  /** Whether each band has its own blocks. */
  readonly isPlanar: boolean
  readonly blockWidth: number
  readonly blockHeight: number
  readonly isTiled: boolean
  readonly offsets: ArrayLike<number>
  readonly byteCounts: ArrayLike<number>
  /** Null if not stated, NaN if it is not a number. */
  readonly nodata: number | null
}

type TagName = Parameters<GeoTIFFImage['fileDirectory']['hasTag']>[0]

/** A tag's numbers; null if it is absent. */
export function numbersOf(image: GeoTIFFImage, tag: TagName): number[] | null {
  const value: unknown = image.fileDirectory.getValue(tag as 256)
  if (value === undefined || value === null || typeof value === 'string') return null
  return typeof value === 'number' ? [value] : Array.from(value as ArrayLike<number>, Number)
}

function wholeOf(image: GeoTIFFImage, tag: TagName, without?: number): number {
  const value = numbersOf(image, tag)?.[0] ?? without
  if (value === undefined || !Number.isSafeInteger(value) || value < 0)
    throw unusable(`its header is damaged: ${tag} is ${value ?? 'missing'}`)
  return value
}

const KINDS: Readonly<Record<number, SampleType['kind']>> = { 1: 'unsigned', 2: 'signed', 3: 'float' }

function typeOf(image: GeoTIFFImage, bands: number): SampleType & { bits: number } {
  const bits = numbersOf(image, 'BitsPerSample') ?? [1]
  const formats = numbersOf(image, 'SampleFormat') ?? [1]
  const kind = KINDS[formats[0] ?? 1]
  const isBit = kind === 'unsigned' && bits[0] === 1
  const type = kind && { kind, bytes: isBit ? 1 : (bits[0] ?? 0) / 8, bits: bits[0] ?? 0 }
  const isUniform = [bits, formats].every((each) => each.slice(0, bands).every((value) => value === each[0]))
  if (!type || !isUniform || !isReadable(type))
    throw unusable(
      `its values are of ${[...new Set(bits.slice(0, bands))].join(' and ')} bits and TIFF's formats ${[...new Set(formats.slice(0, bands))].join(' and ')}: ` +
        'whole numbers of 1, 8, 16 and 32 bits and floats of 16, 32 and 64 are read, the same in all bands; convert it with gdal_translate -ot Int32 or -ot Float32',
    )
  return type
}

export function layoutOf(image: GeoTIFFImage): Layout {
  const width = wholeOf(image, 'ImageWidth')
  const height = wholeOf(image, 'ImageLength')
  const bands = wholeOf(image, 'SamplesPerPixel', 1)
  if (width === 0 || height === 0 || bands === 0 || bands > MAX_BANDS)
    throw unusable(`its header is damaged: ${width} x ${height} pixels of ${bands} bands`)
  const isTiled = image.fileDirectory.hasTag('TileWidth')
  const blockWidth = isTiled ? wholeOf(image, 'TileWidth') : width
  const blockHeight = isTiled
    ? wholeOf(image, 'TileLength')
    : Math.min(height, wholeOf(image, 'RowsPerStrip', height) || height)
  const isPlanar = bands > 1 && wholeOf(image, 'PlanarConfiguration', 1) === 2
  const { bits, ...type } = typeOf(image, bands)
  const samples = isPlanar ? 1 : bands
  const blockBytes = blockWidth * blockHeight * samples * type.bytes
  if (!(blockBytes > 0 && blockBytes <= MAX_BLOCK_BYTES))
    throw unusable(
      `its ${isTiled ? 'tiles' : 'strips'} of ${blockWidth} x ${blockHeight} pixels are ${blockBytes} bytes, and at most ${MAX_BLOCK_BYTES} are read; convert it with gdal_translate -of COG`,
    )
  const offsets = numbersOf(image, isTiled ? 'TileOffsets' : 'StripOffsets') ?? []
  const byteCounts = numbersOf(image, isTiled ? 'TileByteCounts' : 'StripByteCounts') ?? []
  const count = Math.ceil(width / blockWidth) * Math.ceil(height / blockHeight) * (isPlanar ? bands : 1)
  if (offsets.length !== count || byteCounts.length !== count)
    throw unusable(
      `its header is damaged: it names ${offsets.length} blocks where ${width} x ${height} pixels need ${count}`,
    )
  const block: BlockLayout = {
    compression: wholeOf(image, 'Compression', 1),
    predictor: wholeOf(image, 'Predictor', 1),
    littleEndian: image.littleEndian,
    isReversed: wholeOf(image, 'FillOrder', 1) === 2,
    ...{ type, samples, width: blockWidth, ...(bits === 1 && { bits }) },
  }
  const reason = whyUnreadable(block)
  if (reason !== null) throw unusable(reason)
  const layout = { bands, isPlanar, blockWidth, blockHeight, isTiled, offsets, byteCounts, width, height }
  expectPossible(layout, block)
  return { block, ...layout, nodata: nodataOf(image) }
}

/** Refuses sizes above what the compressed bytes can give: nothing else bounds a header. */
function expectPossible(layout: Omit<Layout, 'block' | 'nodata'>, block: BlockLayout): void {
  const { width, height, blockWidth, blockHeight, isTiled, byteCounts } = layout
  const across = Math.ceil(width / blockWidth)
  const down = Math.ceil(height / blockHeight)
  for (let i = 0; i < byteCounts.length; i++) {
    const isLast = !isTiled && Math.floor(i / across) % down === down - 1
    const rows = isLast ? height - (down - 1) * blockHeight : blockHeight
    const bytes = rows * rowBytesOf(block)
    if (byteCounts[i]! > 0 && !canUnpack(block.compression, byteCounts[i]!, bytes))
      throw unusable(
        `its header is damaged: ${width} x ${height} pixels need a block of ${bytes} bytes, which ${byteCounts[i]} packed ones cannot become`,
      )
  }
}

function nodataOf(image: GeoTIFFImage): number | null {
  const text: unknown = image.fileDirectory.getValue('GDAL_NODATA')
  return typeof text === 'string' ? noDataNumber(text) : null
}
