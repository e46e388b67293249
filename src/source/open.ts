/** The source that a folder is: rasters where bands are asked for, packed images where it has a manifest, else a folder of image files. */
import { createHash } from 'node:crypto'
import { type ImageFolder, openImageFolder } from './image-folder.ts'
import { withNotesTold } from './notes.ts'
import { isPack, openPack, type PackedImages } from './packed-images.ts'
import { openRasterFolder, type RasterFolder, type RasterOptions } from './raster/raster-folder.ts'

export type ImageSource = ImageFolder | PackedImages | RasterFolder

/** `rasters`: what is asked of rasters; null for images. */
export async function openSource(dir: string, rasters: RasterOptions | null = null): Promise<ImageSource> {
  if (rasters) return withNotesTold(await openRasterFolder(dir, rasters))
  return withNotesTold(isPack(dir) ? await openPack(dir) : await openImageFolder(dir))
}

/**
 * A number for the list of files: samples are addressed by their place in it, so a resumed run must see the same. Packed
 * images are told apart by their pixels, too, for they may have been shrunk.
 */
export function fingerprint(source: Pick<ImageSource, 'files'> | PackedImages | RasterFolder): string {
  const hash = createHash('sha256')
  for (const file of source.files) hash.update(file).update('\n')
  if ('pack' in source) hash.update(source.pack.content)
  if ('rasters' in source)
    hash.update(source.rasters.samples.map(({ frames }) => frames.map(({ time }) => time).join()).join('\n'))
  return hash.digest('hex').slice(0, 16)
}
