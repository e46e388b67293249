/** Data of evaluation by segmentation: images with masks, their tokens by a frozen encoder, and the classes of the masks. */
import { totalmem } from 'node:os'
import { rasterOptions, sampleSize } from '../config/assemble.ts'
import { readingConfig } from '../config/reading.ts'
import { bandsOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { layoutOf } from '../model/backbone-shape.ts'
import { gridOfModel } from '../model/dimensions.ts'
import { tilesOfSamples } from '../picture/sample-tiles.ts'
import type { Tile } from '../picture/tile.ts'
import { maskedImages } from '../prepare/masks/masked-images.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import { draws } from '../random/draws.ts'
import { type MaskedFolder, openMaskedFolder } from '../source/masked-folder.ts'
import { subsetOf } from '../source/subset.ts'
import { callInPlace } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { narrow, toDevice, toDtype, zeros } from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import { tokenCount } from '../token/grid.ts'
import { locationTokens, locationWidth } from '../token/pool.ts'
import type { Progress } from '../weights/folder-features.ts'
import { tokensOf } from '../weights/frozen-encoder.ts'
import type { OpenedEncoder } from '../weights/open-encoder.ts'
import { type EvaluationData, partImages } from './evaluate.ts'
import type { Segmented } from './segmentation.ts'

const SHOWN = 6 // test images in the picture
const MOST_MEMORY = 0.5 // of the machine's, for features
const BATCH = 32

export interface Extracted {
  readonly set: Segmented
  readonly skipped: readonly SkippedFile[]
  /** The first images, for the picture. */
  readonly tiles: readonly Tile[]
}

const withFiles = (folder: MaskedFolder, kept: readonly number[]): MaskedFolder => ({
  ...folder,
  images: subsetOf(folder.images, kept),
  masks: kept.map((index) => folder.masks[index]!),
})

/** Both folders, or one that is split. Throws `SOURCE`. */
export async function openMasked(
  { config, bands }: OpenedEncoder,
  { train, test }: EvaluationData,
): Promise<{ train: MaskedFolder; test: MaskedFolder }> {
  const rasters = rasterOptions(config, bands ?? bandsOf(config))
  const folder = await openMaskedFolder(train, rasters)
  if (test) {
    const other = await openMaskedFolder(test, rasters)
    if (folder.classes && other.classes && folder.classes.join('\n') !== other.classes.join('\n'))
      throw new SherdError(
        'SOURCE',
        `The classes.txt of ${folder.dir} and of ${other.dir} differ: both need the same names in the same order.`,
      )
    return { train: folder, test: other }
  }
  const count = folder.images.files.length
  if (count < 2)
    throw new SherdError('SOURCE', `${folder.dir} has one image: expected at least two, one to test with.`)
  const order = [...draws({ seed: partImages.seed, stream: 'split', epoch: 0, index: 0 }).permutation(count)]
  const held = Math.max(1, Math.round(count * partImages.share))
  const inOrder = (rows: number[]) => rows.sort((a, b) => a - b)
  return {
    train: withFiles(folder, inOrder(order.slice(held))),
    test: withFiles(folder, inOrder(order.slice(0, held))),
  }
}

/** Throws `VALUE` if the tokens of so many images do not fit in memory. */
export function expectMemory(images: number, { dimensions, shape }: OpenedEncoder): void {
  const [height, width] = dimensions.imageSize
  const values = tokenCount(gridOfModel(dimensions)) * locationWidth(layoutOf(shape), dimensions.width)
  const bytes = images * 2 * (values + height * width)
  if (bytes <= MOST_MEMORY * totalmem()) return
  const gigabytes = (n: number) => `${(n / 1e9).toFixed(1)} GB`
  throw new SherdError(
    'VALUE',
    `The features of ${images} images need ${gigabytes(bytes)}, more than half of this machine's ${gigabytes(totalmem())}: give fewer images.`,
  )
}

export async function extractTokens(
  encoder: OpenedEncoder,
  folder: MaskedFolder,
  onProgress?: Progress,
): Promise<Extracted> {
  const { config, dimensions, machine } = encoder
  const reading = readingConfig(encoder)
  const layout = layoutOf(encoder.shape)
  const groups = encoder.only?.length ?? layout.groups
  const of = folder.images.files.length
  const shape = [of, tokenCount(layout.grid), locationWidth({ ...layout, groups }, dimensions.width)]
  const cache = noGrad(() => unscoped(() => zeros(shape, { dtype: 'float16' })))
  const [height, width] = dimensions.imageSize
  const masks = new Uint16Array(of * height * width)
  const skipped: SkippedFile[] = []
  const tiles: Tile[] = []
  const tokens = tokensOf(encoder)
  const options = {
    ...{ ...sampleSize(reading, folder.images), batchSize: BATCH, decodeThreads: machine.decodeThreads },
    maxSkippedShare: reading.data.maxSkippedShare,
  }
  let count = 0
  for await (const batch of maskedImages(folder, options, (file) => skipped.push(file))) {
    const rows = batch.indices.length
    noGrad(() =>
      scope(() => {
        const places = locationTokens(tokens(batch), { ...layout, groups })
        const made = toDevice(toDtype(places, 'float16'), 'cpu')
        callInPlace('copy_', narrow(cache, 0, count, rows), made)
      }),
    )
    masks.set(batch.masks, count * height * width)
    tiles.push(...tilesOfSamples(batch, encoder.bands ?? bandsOf(config)).slice(0, SHOWN - tiles.length))
    count += rows
    onProgress?.({ dir: folder.dir, done: count + skipped.length, of })
  }
  const kept = noGrad(() => unscoped(() => narrow(cache, 0, 0, count)))
  cache.dispose() // the narrowed tensor keeps its memory
  return { set: { count, tokens: kept, masks: masks.subarray(0, count * height * width) }, skipped, tiles }
}

const MOST_UNNAMED = 1000 // more are probably instance masks, or the ignored value is another

/** The class values and their names: from `classes.txt`, else the values in the masks. */
export function classesOf(
  folder: MaskedFolder,
  sets: readonly Segmented[],
  ignored: number,
): { readonly numbers: readonly number[]; readonly names: readonly string[] } {
  const seen = new Set<number>()
  for (const { masks } of sets) for (const label of masks) seen.add(label)
  seen.delete(ignored)
  const refuse = (what: string): never => {
    throw new SherdError('SOURCE', what)
  }
  const largest = [...seen].reduce((a, b) => Math.max(a, b), -1)
  if (folder.classes && largest >= folder.classes.length)
    refuse(
      `A mask holds class ${largest}, but classes.txt names ${folder.classes.length} (0 to ${folder.classes.length - 1}). Add its name, or say with --ignore which number is no class.`,
    )
  if (seen.size < 2)
    refuse(
      `The masks of ${folder.dir} hold ${seen.size === 0 ? 'no class' : `class ${largest} alone`}${ignored >= 0 ? ` beside ${ignored}, which counts as unlabelled` : ''}: ` +
        'expected at least two. Masks of 0 and 255 need 1 in the place of 255; --ignore says which number is no class.',
    )
  if (!folder.classes && seen.size > MOST_UNNAMED)
    refuse(
      `The masks of ${folder.dir} hold ${seen.size} numbers, up to ${largest}: expected classes, and not numbers of objects. Name as many classes in classes.txt if they are.`,
    )
  const all = folder.classes ? [...folder.classes.keys()] : [...seen].sort((a, b) => a - b)
  const numbers = all.filter((label) => label !== ignored)
  return { numbers, names: numbers.map((label) => folder.classes?.[label] ?? `class ${label}`) }
}

/** The ignored value after `renumber`. */
export const UNLABELLED = 65_535

/** Renumbers the classes 0, 1, … in place, and all other values `UNLABELLED`. */
export function renumber({ masks }: Segmented, numbers: readonly number[]): void {
  const table = new Uint16Array(65_536).fill(UNLABELLED)
  for (const [place, label] of numbers.entries()) table[label] = place
  for (const [i, label] of masks.entries()) masks[i] = table[label]!
}

/** Pixels per class, after `renumber`. */
export function labelCounts({ masks }: Segmented, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0)
  for (const label of masks) if (label !== UNLABELLED) counts[label]!++
  return counts
}
