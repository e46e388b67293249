/** A folder of images with masks of class indices: `images/`, and `masks/` with PNG or TIFF files of the same names. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, extname, join, resolve } from 'node:path'
import { SherdError } from '../errors.ts'
import { listFiles } from './list-files.ts'
import type { ImageSource } from './open.ts'
import { openSource } from './open.ts'
import type { RasterOptions } from './raster/raster-folder.ts'

export interface MaskedFolder {
  /** Absolute path of the folder with both. */
  readonly dir: string
  readonly images: ImageSource
  /** Absolute path of each image's mask. */
  readonly masks: readonly string[]
  /** From `classes.txt` (one per line, beside the two folders or above); null if there is none. */
  readonly classes: readonly string[] | null
}

const names = { images: 'images', masks: 'masks', classes: 'classes.txt' } as const
const maskExtensions = ['.png', '.tif', '.tiff']
const LISTED = 3

export const isMaskedFolder = (dir: string): boolean =>
  [names.images, names.masks].every((name) =>
    statSync(join(dir, name), { throwIfNoEntry: false })?.isDirectory(),
  )

function readClasses(dir: string): readonly string[] | null {
  const path = [dir, dirname(dir)].map((each) => join(each, names.classes)).find(existsSync)
  if (!path) return null
  const lines = readFileSync(path, 'utf8').split(/\r?\n/u)
  while (lines.at(-1)?.trim() === '') lines.pop()
  const classes = lines.map((line) => line.trim())
  const odd = classes.findIndex((name, i) => name === '' || classes.indexOf(name) !== i)
  if (odd >= 0 || classes.length < 2)
    throw new SherdError(
      'SOURCE',
      `Expected ${path} to hold two names or more, one in a line, all different: ${odd < 0 ? `got ${classes.length}` : `line ${odd + 1} is ${JSON.stringify(classes[odd])}`}.`,
    )
  return classes
}

const stemOf = (file: string): string => file.slice(0, file.length - extname(file).length)

/** Masks by path without extension. Throws `SOURCE` for duplicates. */
async function masksByStem(folder: string): Promise<ReadonlyMap<string, string>> {
  const { files } = await listFiles(folder, { name: 'masks', extensions: maskExtensions })
  const found = new Map<string, string>()
  for (const file of files) {
    const other = found.get(stemOf(file))
    if (other !== undefined)
      throw new SherdError(
        'SOURCE',
        `${folder} has two masks for one image: ${other} and ${file}. Move one away.`,
      )
    found.set(stemOf(file), file)
  }
  return found
}

/** Pairs images with masks. Throws `SOURCE` if a folder or a mask is missing, or `classes.txt` is invalid. */
export async function openMaskedFolder(
  given: string,
  rasters: RasterOptions | null = null,
): Promise<MaskedFolder> {
  const dir = resolve(given)
  if (!isMaskedFolder(dir))
    throw new SherdError(
      'SOURCE',
      `Expected ${dir} to have two folders: "${names.images}", and "${names.masks}" with a PNG or TIFF of class numbers for each image, under the same name.`,
    )
  const images = await openSource(join(dir, names.images), rasters)
  const folder = join(dir, names.masks)
  const byStem = await masksByStem(folder)
  const wanted = images.files.map(stemOf)
  const masks = wanted.map((stem) => join(folder, byStem.get(stem) ?? `${stem}.png`))
  const missing = images.files.filter((_, i) => !byStem.has(wanted[i]!))
  if (missing.length > 0)
    throw new SherdError(
      'SOURCE',
      `${missing.length} of ${images.files.length} images in ${images.dir} have no mask: expected ${masks[images.files.indexOf(missing[0]!)]}` +
        ` for ${missing.slice(0, LISTED).join(', ')}${missing.length > LISTED ? ', …' : ''}. Add them, or move those images away.`,
    )
  return { dir, images, masks, classes: readClasses(dir) }
}
