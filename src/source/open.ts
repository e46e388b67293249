/** Opens a folder as a source: rasters if bands are given, packed images if it has a manifest, else image files. */
import { createHash } from 'node:crypto'
import { type ImageFolder, openImageFolder } from './image-folder.ts'
import { withNotesTold } from './notes.ts'
import { isPack, openPack, type PackedImages } from './packed-images.ts'
import { openRasterFolder, type RasterFolder, type RasterOptions } from './raster/raster-folder.ts'

export type ImageSource = ImageFolder | PackedImages | RasterFolder

/** `rasters`: null for images. */
export async function openSource(dir: string, rasters: RasterOptions | null = null): Promise<ImageSource> {
  if (rasters) return withNotesTold(await openRasterFolder(dir, rasters))
  return withNotesTold(isPack(dir) ? await openPack(dir) : await openImageFolder(dir))
}

/**
 * A hash of the list of files: samples are addressed by their index in it, so that a resumed run needs the same list. For packed images
 * also of their pixels, which may have been shrunk.
 */
export function fingerprint(
  source: Pick<ImageFolder, 'kind' | 'files'> | PackedImages | RasterFolder,
): string {
  const hash = createHash('sha256')
  for (const file of source.files) hash.update(file).update('\n')
  if (source.kind === 'packed') hash.update(source.pack.content)
  if (source.kind === 'rasters')
    hash.update(source.rasters.samples.map(({ frames }) => frames.map(({ time }) => time).join()).join('\n'))
  return hash.digest('hex').slice(0, 16)
}
