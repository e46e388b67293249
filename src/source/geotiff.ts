/**
 * GeoTIFF files, Cloud-Optimized ones among them: what the header says, and windows of their bands. geotiff.js reads the
 * header, through `ByteFile`, so that no part of it is larger than the file; blocks are read by tiff-block.ts.
 *
 * Only the first image of a file counts. Overviews are not read: a file does not say how they were made, and nearest
 * neighbours would alias. Masks beside the image are not read either.
 */
import type { GeoTIFFImage } from 'geotiff'
import { messageOf, SherdError } from '../errors.ts'
import { type ByteFile, openBytes, unusable } from './byte-file.ts'
import { gridOf } from './grid.ts'
import type { Layer, RasterAccess, RasterFile, Region } from './raster-file.ts'
import { copyValues, type Values } from './sample-type.ts'
import { decodeBlock } from './tiff-block.ts'
import { type Layout, layoutOf, numbersOf } from './tiff-layout.ts'
import { bandMetadata } from './tiff-metadata.ts'

/** What geotiff.js asks for when it does not know yet how much it needs. */
const GUESSES = [1024, 4048]
const MAX_HEADER_BYTES = 256e6
const RGB = 2

export async function openGeotiff({ path, blocks }: RasterAccess): Promise<RasterFile> {
  const file = await openBytes(path)
  try {
    const image = await readHeader(file)
    const layout = layoutOf(image)
    return {
      describe: async () => ({
        layers: layersOf(image, layout),
        ...{ items: null, timeOf: () => null },
        grid: gridOf(layout, {
          transformation: numbersOf(image, 'ModelTransformation'),
          scale: numbersOf(image, 'ModelPixelScale'),
          tiePoint: numbersOf(image, 'ModelTiepoint'),
          keys: image.getGeoKeys() ?? {},
        }),
      }),
      sizeOf: ({ band }) => {
        if (band >= layout.bands)
          throw unusable(`it has ${layout.bands} bands, and number ${band + 1} is wanted`)
        return { width: layout.width, height: layout.height }
      },
      read: (places, region, nodata) => {
        const block = (index: number, rows: number) =>
          blocks.get(`${path}\n${index}`, () => readBlock(file, layout, index, rows))
        const bands = places.map(({ band }) => band)
        return readRegion(layout, region, { bands, nodata: layout.nodata ?? nodata, block })
      },
      close: file.close,
    }
  } catch (error) {
    await file.close()
    throw error instanceof SherdError
      ? error
      : unusable(`its header is cut short or damaged (${messageOf(error)})`)
  }
}

async function readHeader(file: ByteFile): Promise<GeoTIFFImage> {
  const start = await file.read(0, Math.min(4, file.size))
  const magic = start.toString('latin1')
  if (!['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].includes(magic))
    throw unusable(`expected a TIFF file, but it starts with ${JSON.stringify(magic)}`)
  let asked = 0
  const fetchSlice = async ({ offset, length }: { offset: number; length: number }) => {
    asked += length
    if (asked > MAX_HEADER_BYTES) throw unusable('its header is too large')
    const isGuess = GUESSES.includes(length) && offset < file.size
    const bytes = await file.read(offset, isGuess ? Math.min(length, file.size - offset) : length)
    const data = new ArrayBuffer(length)
    new Uint8Array(data).set(bytes)
    return { offset, length, data }
  }
  const source = {
    fileSize: file.size,
    fetchSlice,
    fetch: (slices: { offset: number; length: number }[]) =>
      Promise.all(slices.map(async (slice) => (await fetchSlice(slice)).data)),
    close: file.close,
  }
  const { GeoTIFF } = await import('geotiff')
  const tiff = await GeoTIFF.fromSource(source)
  // What is read later is read as little-endian, and has its memory taken before it is known to be there.
  tiff.parser.eager = true
  return tiff.getImage()
}

/** The bands with their descriptions, as GDAL and rasterio write them, else with the colours that the file gives them. */
function layersOf(image: GeoTIFFImage, { width, height, bands }: Layout): Layer[] {
  const xml: unknown = image.fileDirectory.getValue('GDAL_METADATA' as 'ImageWidth')
  const said = bandMetadata(typeof xml === 'string' ? xml : '')
  const isRgb = numbersOf(image, 'PhotometricInterpretation')?.[0] === RGB
  return Array.from({ length: bands }, (_, band) => {
    const description = said.descriptions.get(band) ?? null
    const colour = said.colours.get(band) ?? (isRgb ? (['red', 'green', 'blue'][band] ?? null) : null)
    return {
      name: description ?? colour,
      isNamed: description !== null,
      ...{ band, width, height, frames: null },
    }
  })
}

/** Rows of a block that lie in the image: the last strip is shorter, tiles are always whole. */
const rowsOf = ({ isTiled, blockHeight, height }: Layout, row: number): number =>
  isTiled ? blockHeight : Math.min(blockHeight, height - row * blockHeight)

/** Null where the file leaves a block out, as GDAL does for blocks of nothing. */
async function readBlock(
  file: ByteFile,
  layout: Layout,
  index: number,
  rows: number,
): Promise<Values | null> {
  const [offset, bytes] = [layout.offsets[index]!, layout.byteCounts[index]!]
  if (offset === 0 || bytes === 0) return null
  return decodeBlock(await file.read(offset, bytes), layout.block, { rows, fullRows: layout.blockHeight })
}

interface Wanted {
  readonly bands: readonly number[]
  readonly nodata: number | null
  readonly block: (index: number, rows: number) => Promise<Values | null>
}

async function readRegion(
  layout: Layout,
  region: Region,
  { bands, nodata, block }: Wanted,
): Promise<Float32Array[]> {
  const { blockWidth, blockHeight, isPlanar } = layout
  const right = region.left + region.width
  const bottom = region.top + region.height
  const across = Math.ceil(layout.width / blockWidth)
  const plane = across * Math.ceil(layout.height / blockHeight)
  const out = bands.map(() => new Float32Array(region.width * region.height))
  for (let row = Math.floor(region.top / blockHeight); row * blockHeight < bottom; row++)
    for (let column = Math.floor(region.left / blockWidth); column * blockWidth < right; column++) {
      const box = {
        left: column * blockWidth,
        top: row * blockHeight,
        width: blockWidth,
        height: blockHeight,
      }
      const index = row * across + column
      if (isPlanar)
        for (const [i, band] of bands.entries()) {
          const values = await block(band * plane + index, rowsOf(layout, row))
          copyBlock({ values, box, stride: 1, first: 0 }, { out: out[i]!, region, nodata })
        }
      else {
        const values = await block(index, rowsOf(layout, row))
        for (const [i, band] of bands.entries())
          copyBlock({ values, box, stride: layout.bands, first: band }, { out: out[i]!, region, nodata })
      }
    }
  return out
}

interface Block {
  readonly values: Values | null
  readonly box: Region
  /** Values of a pixel, and which of them is wanted. */
  readonly stride: number
  readonly first: number
}

function copyBlock(
  { values, box, stride, first }: Block,
  { out, region, nodata }: { out: Float32Array; region: Region; nodata: number | null },
): void {
  const left = Math.max(box.left, region.left)
  const right = Math.min(box.left + box.width, region.left + region.width)
  const top = Math.max(box.top, region.top)
  const bottom = Math.min(box.top + box.height, region.top + region.height)
  for (let y = top; y < bottom; y++) {
    const to = (y - region.top) * region.width + left - region.left
    // As GDAL has it: what is left out is no data where the file has a number for that, else 0.
    if (values)
      copyValues(out, values, {
        to,
        count: right - left,
        from: ((y - box.top) * box.width + left - box.left) * stride + first,
        stride,
        nodata,
      })
    else out.fill(nodata === null ? 0 : Number.NaN, to, to + right - left)
  }
}
