/** Thumbnails of an index: whole photographs in their own aspect ratio; of rasters the model's window of the first date in true colour. */
import { join } from 'node:path'
import { SHEET_SIDE } from '../picture/contact-sheet.ts'
import { tilesOfSamples } from '../picture/sample-tiles.ts'
import type { Tile } from '../picture/tile.ts'
import { centerCrop } from '../prepare/crop.ts'
import { defaultMaxPixels, tryDecode } from '../prepare/decode/decode.ts'
import type { ImageReader } from '../prepare/image-reader.ts'
import { openReader } from '../prepare/open-reader.ts'
import { sampleSpace } from '../prepare/pixels.ts'
import type { Size } from '../source/box.ts'
import { openSource } from '../source/open.ts'
import type { PackedImages } from '../source/packed-images.ts'
import type { RasterFolder } from '../source/raster/raster-folder.ts'
import type { ImageIndex } from './index-folder.ts'

/** Scales a size so that the longer side is at most `SHEET_SIDE`. */
function fitted({ width, height }: Size): Size {
  const scale = Math.min(1, SHEET_SIDE / Math.max(width, height))
  const side = (length: number) => Math.max(1, Math.round(length * scale))
  return { width: side(width), height: side(height) }
}

const whole = ({ width, height }: Size) => ({ box: { left: 0, top: 0, width, height }, flip: false })

/** Null if the file cannot be decoded. */
export async function thumbnailOfFile(path: string): Promise<Tile | null> {
  let tile: Tile | null = null
  const reason = await tryDecode(path, {
    ...{ channels: 3, minSide: 1, maxPixels: defaultMaxPixels, corrupt: 'keep' },
    sample: (image) => {
      const target = fitted(image)
      const pixels = new Uint8Array(target.width * target.height * 3)
      tile = { ...target, channels: 3, pixels }
      return { ...whole(image), target, out: pixels }
    },
  })
  return reason === null ? tile : null
}

/** Thumbnails by row; unreadable images have none. */
export async function thumbnailsOf(
  { facts, images }: Pick<ImageIndex, 'facts' | 'images'>,
  rows: readonly number[],
): Promise<ReadonlyMap<number, Tile>> {
  const found = new Map<number, Tile>()
  if (!facts.source) return found
  const { dir, rasters, size } = facts.source
  const source = await openSource(dir, rasters).catch(() => null) // the folder may have been removed since
  if (!source) return found
  if (source.kind === 'images') {
    for (const row of new Set(rows)) {
      const tile = await thumbnailOfFile(join(dir, images[row]!.file))
      if (tile) found.set(row, tile)
    }
    return found
  }
  const places = new Map(source.files.map((file, index) => [file, index]))
  const reader = openReader(source, 1)
  try {
    for (const row of new Set(rows)) {
      const index = places.get(images[row]!.file)
      if (index === undefined) continue
      const tile =
        source.kind === 'packed'
          ? await packed(source, reader, index)
          : await raster(source, reader, index, size)
      if (tile) found.set(row, tile)
    }
  } finally {
    reader.close()
  }
  return found
}

async function packed({ pack }: PackedImages, reader: ImageReader, index: number): Promise<Tile | null> {
  const [height, width] = [pack.shapes[2 * index]!, pack.shapes[2 * index + 1]!]
  const target = fitted({ width, height })
  const channels = pack.channels === 1 ? 1 : 3
  const out = new Uint8Array(target.width * target.height * channels)
  const space = { target, channels, out, minSide: 1, maxPixels: Number.POSITIVE_INFINITY }
  const [reason] = await reader.read([{ index, row: 0, place: whole }], space)
  return reason === null ? { ...target, channels, pixels: out } : null
}

async function raster(
  { rasters }: RasterFolder,
  reader: ImageReader,
  index: number,
  [height, width]: readonly [number, number],
): Promise<Tile | null> {
  const { bands, frames } = rasters
  const target = fitted({ width, height })
  const channels = bands.length
  const size = { ...target, channels, frames, minSide: 1, maxPixels: defaultMaxPixels, minValid: 0 }
  const { samples, out, facts } = sampleSpace(1, size)
  const place = (image: Size) => ({ box: centerCrop(image, target), flip: false })
  const [reason] = await reader.read([{ index, row: 0, place }], { ...size, target, out, facts })
  return reason === null ? tilesOfSamples(samples, bands)[0]! : null
}
