/** The source that a folder is: packed images where it has a manifest, else a folder of image files. */
import { createHash } from 'node:crypto'
import { type ImageFolder, openImageFolder } from './image-folder.ts'
import { isPack, openPack, type PackedImages } from './packed-images.ts'

export type ImageSource = ImageFolder | PackedImages

export async function openSource(dir: string): Promise<ImageSource> {
  return isPack(dir) ? openPack(dir) : openImageFolder(dir)
}

/**
 * A number for the list of files: samples are addressed by their place in it, so a resumed run must see the same. Packed
 * images are told apart by their pixels, too, for they may have been shrunk.
 */
export function fingerprint(source: Pick<ImageSource, 'files'> | PackedImages): string {
  const hash = createHash('sha256')
  for (const file of source.files) hash.update(file).update('\n')
  if ('pack' in source) hash.update(source.pack.content)
  return hash.digest('hex').slice(0, 16)
}
