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
import { type MaskedImages, maskedImages } from '../prepare/masks/masked-images.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import { draws } from '../random/draws.ts'
import { type MaskedFolder, openMaskedFolder } from '../source/masked-folder.ts'
import { subsetOf } from '../source/subset.ts'
import { callInPlace } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { narrow, toDevice, toDtype, zeros } from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import { fromArray, toArray } from '../tensor/tensor.ts'
import { tokenCount } from '../token/grid.ts'
import { locationTokens, locationWidth } from '../token/pool.ts'
import type { ReadingOptions } from '../weights/folder-features.ts'
import { tokensOf } from '../weights/frozen-encoder.ts'
import { eachBatch } from '../weights/gather-rows.ts'
import type { OpenedEncoder } from '../weights/open-encoder.ts'
import { type EvaluationData, partImages } from './evaluation-data.ts'
import type { Segmented } from './segmentation.ts'

/** Test images in the picture. */
export const SHOWN = 6
const MOST_MEMORY = 0.5 // of the machine's, for features
const BATCH = 32

export interface Extracted {
  readonly set: Segmented
  /** In the folder, of each image of the set. */
  readonly indices: readonly number[]
  readonly skipped: readonly SkippedFile[]
  readonly seconds: number
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

/** How the images of a folder are read. */
function readingOptions(encoder: OpenedEncoder, { images }: MaskedFolder) {
  const reading = readingConfig(encoder)
  return {
    ...{ ...sampleSize(reading, images), batchSize: BATCH, decodeThreads: encoder.machine.decodeThreads },
    maxSkippedShare: reading.data.maxSkippedShare,
  }
}

/** Throws as `eachBatch`, and `SOURCE` for masks of another size than their images. */
export async function extractTokens(
  encoder: OpenedEncoder,
  folder: MaskedFolder,
  { onProgress, journal, signal }: Pick<ReadingOptions, 'onProgress' | 'journal' | 'signal'> = {},
): Promise<Extracted> {
  const { dimensions } = encoder
  const layout = layoutOf(encoder.shape)
  const groups = encoder.only?.length ?? layout.groups
  const { dir } = folder
  const of = folder.images.files.length
  const own = [tokenCount(layout.grid), locationWidth({ ...layout, groups }, dimensions.width)] as const
  const cache = noGrad(() => unscoped(() => zeros([of, ...own], { dtype: 'float16' })))
  try {
    const [height, width] = dimensions.imageSize
    const masks = new Uint16Array(of * height * width)
    const tokens = tokensOf(encoder)
    const options = readingOptions(encoder, folder)
    const { corrupt } = readingConfig(encoder).data
    let count = 0
    const read = await eachBatch<MaskedImages, readonly [Uint16Array, Uint16Array]>({
      ...{ journal, signal },
      images: (from, onSkip) => maskedImages(folder, options, onSkip, from),
      compute: (batch) =>
        noGrad(() =>
          scope(() => {
            const places = locationTokens(tokens(batch), { ...layout, groups })
            const made = toDevice(toDtype(places, 'float16'), 'cpu')
            return [toArray(made) as Uint16Array, batch.masks]
          }),
        ),
      take: ([made, ownMasks], rows) => {
        noGrad(() =>
          scope(() =>
            callInPlace('copy_', narrow(cache, 0, count, rows), fromArray(made, [rows, ...own], 'float16')),
          ),
        )
        masks.set(ownMasks, count * height * width)
        count += rows
      },
      onBatch: (done) => onProgress?.({ dir, done, of }),
      limit: { files: of, maxShare: options.maxSkippedShare, corrupt },
    })
    const kept = noGrad(() => unscoped(() => narrow(cache, 0, 0, count)))
    return { ...read, set: { count, tokens: kept, masks: masks.subarray(0, count * height * width) } }
  } finally {
    cache.dispose() // the narrowed tensor keeps its memory
  }
}

/** The first images of a set, for the picture. */
export async function firstTiles(
  encoder: OpenedEncoder,
  folder: MaskedFolder,
  { indices }: Extracted,
): Promise<Tile[]> {
  const some = withFiles(folder, indices.slice(0, SHOWN))
  const tiles: Tile[] = []
  for await (const batch of maskedImages(some, readingOptions(encoder, folder), () => {}))
    tiles.push(...tilesOfSamples(batch, encoder.bands ?? bandsOf(encoder.config)))
  return tiles
}

const MOST_UNNAMED = 1000 // more are probably instance masks, or the ignored value is another

/** The class values and their names: from `classes.txt`, else the values in the masks. */
export function classesOf(
  folder: MaskedFolder,
  sets: readonly Segmented[],
  ignored: number,
): { readonly numbers: readonly number[]; readonly names: readonly string[] } {
  const isThere = new Uint8Array(65_536) // and no set: masks have many pixels
  for (const { masks } of sets) for (let i = 0; i < masks.length; i++) isThere[masks[i]!] = 1
  const seen = new Set([...isThere.keys()].filter((label) => isThere[label] === 1 && label !== ignored))
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
  for (let i = 0; i < masks.length; i++) masks[i] = table[masks[i]!]!
}

/** Pixels per class, after `renumber`. */
export function labelCounts({ masks }: Segmented, classes: number): number[] {
  const counts = new Float64Array(65_536)
  for (let i = 0; i < masks.length; i++) counts[masks[i]!]!++
  return [...counts.subarray(0, classes)]
}
