/**
 * A folder of images as a source of samples: every image file below it, in an order that is the same on every machine,
 * and labels when first-level sub-folders sort the images into classes. Nothing is opened here: whether a file really
 * is an image is found out when it is decoded.
 */
import type { Dirent } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { extname, join, resolve } from 'node:path'
import { messageOf, SherdError } from '../errors.ts'

/** File name endings that count as images, in lower case; upper case counts too. */
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
] as const

export interface ImageFolder {
  /** Absolute path. */
  readonly dir: string
  /** Paths below `dir`, with `/`, sorted by UTF-16 code units. A sample's index is its place in this list. */
  readonly files: readonly string[]
  /** The first-level sub-folders, sorted the same way; empty when there are no labels. */
  readonly classes: readonly string[]
  /** The class of each file, or null when an image lies outside every sub-folder. */
  readonly labels: Int32Array | null
}

/** What stands for bytes that are not UTF-8. */
const UNREADABLE = '\ufffd'

interface Found {
  readonly images: string[]
  /** Visible files that are no images: told to the user when there is nothing else. */
  readonly others: string[]
}

/**
 * Lists the images in `dir` and below it. Hidden files and folders (leading dot) are left out; symbolic links are
 * followed, except back into a folder that they lie in. A link that leads nowhere but is named like an image is kept,
 * so that its loss is reported when it is read.
 *
 * Throws `SOURCE` when `dir` does not exist, is no folder, holds no image, or a folder in it cannot be read.
 */
export async function openImageFolder(dir: string): Promise<ImageFolder> {
  const root = resolve(dir)
  const status = await stat(root).catch((error: unknown) => {
    throw new SherdError(
      'SOURCE',
      `Expected a folder of images, but cannot open ${root}: ${messageOf(error)}`,
      {
        cause: error,
      },
    )
  })
  if (!status.isDirectory())
    throw new SherdError(
      'SOURCE',
      `Expected a folder of images, but ${root} is a file. Give the folder it is in.`,
    )
  const found: Found = { images: [], others: [] }
  await walk({ root, below: '', ancestors: [await realpath(root)] }, found)
  if (found.images.length === 0) throw noImages(root, found.others)
  const files = found.images.sort()
  return { dir: root, files, ...classesOf(files) }
}

interface Folder {
  readonly root: string
  /** The folder's path below `root`: '' or 'a/b/'. */
  readonly below: string
  /** The real paths of this folder (last) and of all that it lies in. */
  readonly ancestors: readonly string[]
}

async function walk(folder: Folder, found: Found): Promise<void> {
  const path = join(folder.root, folder.below)
  const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
    // A name that is not UTF-8 cannot be asked for: the folder stands for itself, and is told about as a file would be.
    if (path.includes(UNREADABLE)) return null
    throw new SherdError(
      'SOURCE',
      `Cannot read the folder ${path}: ${messageOf(error)}. Make it readable, move it away, or put a dot before its name.`,
      { cause: error },
    )
  })
  if (!entries) {
    found.images.push(`${folder.below}${UNREADABLE}`)
    return
  }
  const deeper: Promise<void>[] = []
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue
    if (entry.isFile()) keep(folder.below + entry.name, found)
    else if (entry.isDirectory()) deeper.push(walk(inside(folder, entry), found))
    else if (entry.isSymbolicLink()) deeper.push(follow(folder, entry, found))
  }
  await Promise.all(deeper)
}

function inside(folder: Folder, entry: Dirent): Folder {
  const real = join(folder.ancestors.at(-1) ?? folder.root, entry.name)
  return { ...folder, below: `${folder.below}${entry.name}/`, ancestors: [...folder.ancestors, real] }
}

async function follow(folder: Folder, entry: Dirent, found: Found): Promise<void> {
  const path = join(folder.root, folder.below, entry.name)
  const target = await stat(path).catch(() => null)
  if (target?.isDirectory()) {
    const real = await realpath(path)
    if (folder.ancestors.includes(real)) return
    const below = `${folder.below}${entry.name}/`
    await walk({ ...folder, below, ancestors: [...folder.ancestors, real] }, found)
  } else if (target === null || target.isFile()) keep(folder.below + entry.name, found)
}

function keep(file: string, found: Found): void {
  const isImage = (imageExtensions as readonly string[]).includes(extname(file).toLowerCase())
  if (isImage) found.images.push(file)
  else found.others.push(file)
}

function classesOf(files: readonly string[]): Pick<ImageFolder, 'classes' | 'labels'> {
  const firstFolders = files.map((file) => file.slice(0, Math.max(0, file.indexOf('/'))))
  if (firstFolders.includes('')) return { classes: [], labels: null }
  const classes = [...new Set(firstFolders)].sort()
  const numbers = new Map(classes.map((name, number) => [name, number]))
  return { classes, labels: Int32Array.from(firstFolders, (name) => numbers.get(name) ?? -1) }
}

function noImages(root: string, others: readonly string[]): SherdError {
  const examples = others.length > 0 ? `, such as ${JSON.stringify(others.toSorted()[0])}` : ''
  return new SherdError(
    'SOURCE',
    `No images in ${root} or below it: ${others.length} other files were seen${examples}. ` +
      `Files ending in ${imageExtensions.join(' ')} are read; names that start with a dot are not.`,
  )
}
