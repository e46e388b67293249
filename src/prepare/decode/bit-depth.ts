/**
 * Detects 16-bit images that use only part of the range, such as 12-bit data of cameras and satellites, whose high byte is nearly empty.
 */
import { join } from 'node:path'
import { sharp } from '../../files/sharp.ts'
import type { ImageFolder } from '../../source/image-folder.ts'
import { readImageFile } from './image-file.ts'
import { formatOf } from './image-format.ts'
import { tiffNumbers, tiffTags } from './tiff-tags.ts'

/** Number of files to examine, evenly spread. */
const FILES = 16
const PIXELS = 50e6
const LARGEST = 65_535
const ENDING = /\.(?:png|tiff?)$/i
const PNG_DEPTH = 24

function isWide(file: Uint8Array): boolean {
  const format = formatOf(file)
  return format === 'png'
    ? file[PNG_DEPTH] === 16
    : format === 'tiff' && tiffNumbers(file, tiffTags.bitsPerSample)[0] === 16
}

/** The largest 16-bit value in some files of the folder; null if none has 16 bits. */
export async function largestValue(
  { dir, files }: Pick<ImageFolder, 'dir' | 'files'>,
  maxPixels: number,
): Promise<number | null> {
  const named = files.filter((file) => ENDING.test(file))
  const count = Math.min(FILES, named.length)
  let [largest, pixels]: [number | null, number] = [null, 0]
  for (let i = 0; i < count && pixels < PIXELS; i++) {
    const path = join(dir, named[Math.floor((i * named.length) / count)]!)
    try {
      const file = await readImageFile(path, maxPixels)
      if (!isWide(file)) continue
      const image = sharp(file, { limitInputPixels: maxPixels })
      const { width, height, hasAlpha } = await image.metadata()
      const { channels } = await image.stats()
      for (const { max } of hasAlpha ? channels.slice(0, -1) : channels) largest = Math.max(largest ?? 0, max)
      pixels += width * height
    } catch {
      // reported when it is read as a sample
    }
  }
  return largest
}

/** A note for a folder of dark 16-bit images, or null. */
export async function depthNote(
  source: Pick<ImageFolder, 'dir' | 'files'>,
  { maxPixels }: { readonly maxPixels: number },
): Promise<string | null> {
  return rangeNote(`The 16-bit images of ${source.dir} have`, await largestValue(source, maxPixels))
}

/** A note for values that use little of 16 bits, or null. `which`: `The 16-bit images of photos have`. */
export function rangeNote(which: string, largest: number | null): string | null {
  if (largest === null || largest === 0 || largest > LARGEST / 2) return null
  const high = 2 ** Math.ceil(Math.log2(largest + 1)) - 1
  const share = Number(((100 * largest) / LARGEST).toPrecision(2))
  return (
    `${which} values up to ${largest}, ${share} % of the range: of 256 levels only ${(largest >> 8) + 1} are left. ` +
    `Say what becomes white, with data.range=[0,${high}] ("sherd pack --range 0,${high}").`
  )
}
