/** The images of an evaluation: two folders or one that is split, and what says that two evaluations saw the same ones. */
import { createHash } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { SherdError } from '../errors.ts'
import type { ImageSource } from '../source/open.ts'

/** Two folders, or one that is split. */
export interface EvaluationData {
  readonly train: string
  /** Null: a fifth of each class of `train` is held out. */
  readonly test: string | null
  /** Images that choose the epoch of fine-tuning; by default there are none. */
  readonly validation?: string | null
}

const testNames = ['test', 'val', 'validation'] as const

/**
 * `dir/train` and `dir/test` (or `val`, `validation`) if they exist, else `dir` itself, to be split. Beside `test`, the folder `val` or
 * `validation` holds validation images.
 */
export function findSplit(dir: string): EvaluationData {
  const train = join(dir, 'train')
  if (!existsSync(train)) return { train: dir, test: null }
  const test = testNames.map((name) => join(dir, name)).find(existsSync)
  if (!test)
    throw new SherdError(
      'SOURCE',
      `${resolve(dir)} has a folder "train" but none to test with: expected one named ${testNames.join(', ')}.`,
    )
  const [validation = null] = testNames
    .map((name) => join(dir, name))
    .filter((path) => path !== test && existsSync(path))
  return { train, test, validation }
}

/** The split of a folder without test images: the same for every model and seed. */
export const partImages = { share: 0.2, seed: 0 } as const

export interface EvaluatedImages {
  readonly train: string
  readonly test: string
  readonly trainImages: number
  readonly testImages: number
  readonly skipped: number
  /** Of the images and their labels: equal ones mean that two reports are of the same images. */
  readonly fingerprints: { readonly train: string; readonly test: string }
}

/**
 * Of some images of a source: their names, sizes in bytes and classes, in order. Where the folder lies and when it was copied does not
 * matter.
 */
export function fingerprintOf(source: ImageSource, indices: Iterable<number> = source.files.keys()): string {
  const { dir, files, labels, classes } = source
  const hash = createHash('sha256')
  if (source.kind === 'packed') hash.update(source.pack.content)
  const sizeOf = (file: string) =>
    source.kind === 'packed' ? '' : statSync(join(dir, file), { throwIfNoEntry: false })?.size
  for (const index of indices)
    hash.update(`${files[index]}\0${sizeOf(files[index]!) ?? ''}\0${labels ? classes[labels[index]!] : ''}\n`)
  return hash.digest('hex').slice(0, 16)
}
