/** A folder of images with a mask of class numbers for each: `images/` and, under the same names, `masks/` of PNG files. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, extname, join, resolve } from 'node:path'
import { SherdError } from '../errors.ts'
import type { ImageSource } from './open.ts'
import { openSource } from './open.ts'
import type { RasterOptions } from './raster-folder.ts'

export interface MaskedFolder {
  /** Absolute path of the folder that holds both. */
  readonly dir: string
  readonly images: ImageSource
  /** The absolute path of each image's mask. */
  readonly masks: readonly string[]
  /** Of `classes.txt`, one in a line, beside the two folders or above; null when there is none. */
  readonly classes: readonly string[] | null
}

const names = { images: 'images', masks: 'masks', classes: 'classes.txt' } as const
const LISTED = 3

/** Whether `dir` looks like one. */
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

/** Pairs images with masks. Throws `SOURCE` when a folder or a mask is missing, or `classes.txt` makes no sense. */
export async function openMaskedFolder(
  given: string,
  rasters: RasterOptions | null = null,
): Promise<MaskedFolder> {
  const dir = resolve(given)
  if (!isMaskedFolder(dir))
    throw new SherdError(
      'SOURCE',
      `Expected ${dir} to have two folders: "${names.images}", and "${names.masks}" with a PNG of class numbers for each image, under the same name.`,
    )
  const images = await openSource(join(dir, names.images), rasters)
  const masks = images.files.map((file) =>
    join(dir, names.masks, `${file.slice(0, file.length - extname(file).length)}.png`),
  )
  const missing = images.files.filter((_, i) => !existsSync(masks[i]!))
  if (missing.length > 0)
    throw new SherdError(
      'SOURCE',
      `${missing.length} of ${images.files.length} images in ${images.dir} have no mask: expected ${masks[images.files.indexOf(missing[0]!)]}` +
        ` for ${missing.slice(0, LISTED).join(', ')}${missing.length > LISTED ? ', …' : ''}. Add them, or move those images away.`,
    )
  return { dir, images, masks, classes: readClasses(dir) }
}
