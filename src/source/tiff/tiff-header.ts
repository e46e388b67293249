/**
 * Reads the header of a TIFF file by geotiff.js through `ByteFile`, so that no part of it exceeds the file: the first image and its mask.
 * Overviews and further pages are ignored.
 */
import type { GeoTIFFImage } from 'geotiff'
import { type ByteFile, unusable } from '../../files/byte-file.ts'
import { numbersOf } from './tiff-layout.ts'

/** Lengths that geotiff.js requests speculatively. */
const GUESSES = [1024, 4048]
const MAX_HEADER_BYTES = 256e6
/** Directories searched for a mask: files with more have pages, not overviews. */
const MOST_DIRECTORIES = 64
/** Bits of TIFF's NewSubfileType. */
const REDUCED = 1
const MASK = 4

export interface TiffImages {
  readonly image: GeoTIFFImage
  /** Null if the file has no mask. */
  readonly mask: GeoTIFFImage | null
  /** Reduced copies of the image. */
  readonly overviews: number
}

export async function readHeader(file: ByteFile): Promise<TiffImages> {
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
  // Deferred tags are read as little-endian, and allocated before their length is checked.
  tiff.parser.eager = true
  const image = await tiff.getImage()
  return { image, ...(await furtherImages(image, (index) => tiff.getImage(index))) }
}

/** The mask of full size, and the overviews. As in GDAL, the search ends at an unreadable directory. */
async function furtherImages(
  image: GeoTIFFImage,
  directory: (index: number) => Promise<GeoTIFFImage>,
): Promise<Pick<TiffImages, 'mask' | 'overviews'>> {
  const size = (one: GeoTIFFImage) =>
    `${numbersOf(one, 'ImageWidth')?.[0]} x ${numbersOf(one, 'ImageLength')?.[0]}`
  let mask: GeoTIFFImage | null = null
  let overviews = 0
  for (let index = 1; index < MOST_DIRECTORIES; index++) {
    const next = await directory(index).catch(() => null)
    if (!next) break
    const kind = numbersOf(next, 'NewSubfileType')?.[0] ?? 0
    if ((kind & (MASK | REDUCED)) === REDUCED) overviews++
    if ((kind & (MASK | REDUCED)) === MASK && size(next) === size(image)) mask ??= next
  }
  return { mask, overviews }
}
