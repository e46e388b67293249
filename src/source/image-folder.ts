/**
 * A folder of images as a source of samples: every image file below it, in the same order on every machine, and labels by first-level
 * sub-folders. Files are not opened.
 */
import { resolve } from 'node:path'
import { SherdError } from '../errors.ts'
import { type Classes, classesOf } from './classes.ts'
import { leftOutNotes } from './left-out.ts'
import { type LinkedFolder, listFiles } from './list-files.ts'

/** In lower case; matched without regard to case. */
export const imageExtensions = [
  '.jpg',
  '.jpeg',
  '.jpe',
  '.jfif',
  '.png',
  '.webp',
  '.tif',
  '.tiff',
  '.avif',
  '.gif',
  '.bmp',
] as const

/** What every kind of source has. */
export interface SampleFiles extends Classes {
  /** Absolute. */
  readonly dir: string
  /** Paths below `dir`, with `/`, sorted by UTF-16 code units. A sample's index is its position in this list. */
  readonly files: readonly string[]
  /** Observations for users of the data, a sentence or two each. */
  readonly notes?: readonly string[]
  /** Links to folders that are also reached by another path. */
  readonly linkedFolders?: readonly LinkedFolder[]
}

export interface ImageFolder extends SampleFiles {
  readonly kind: 'images'
}

/**
 * Lists the images in and below `dir` (`list-files.ts` says which are skipped). Throws `SOURCE` if `dir` is not a folder or has no image,
 * a folder in it cannot be read, or a class has only files with other extensions.
 */
export async function openImageFolder(dir: string): Promise<ImageFolder> {
  const root = resolve(dir)
  const kind = { name: 'images', extensions: imageExtensions }
  const listed = await listFiles(root, kind)
  const { files, others, linkedFolders } = listed
  if (files.length === 0) throw noImages(root, others)
  const hasLinks = linkedFolders.length > 0
  return {
    ...{ kind: 'images', dir: root, files, ...classesOf(files) },
    ...(hasLinks && { linkedFolders }),
    notes: [...(hasLinks ? [linksNote(root, linkedFolders)] : []), ...leftOutNotes(root, listed, kind)],
  }
}

const LISTED = 3

function linksNote(root: string, linked: readonly LinkedFolder[]): string {
  const shown = linked.slice(0, LISTED).map(({ link, target }) => `${link} → ${target}`)
  const more = linked.length > LISTED ? ' …' : ''
  return `${root} has links to folders that are read at another place, and their images count once: ${shown.join(', ')}${more}`
}

function noImages(root: string, others: readonly string[]): SherdError {
  const examples = others.length > 0 ? `, such as ${JSON.stringify(others[0])}` : ''
  return new SherdError(
    'SOURCE',
    `No images in ${root} or below it: ${others.length} other files were seen${examples}. ` +
      `Files ending in ${imageExtensions.join(' ')} are read; names that start with a dot are not.`,
  )
}
