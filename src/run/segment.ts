/** Segmentation from start to end: images with masks, features of a frozen encoder, heads on them, what they reach. */
import { totalmem } from 'node:os'
import { SherdError } from '../errors.ts'
import { tokensOf } from '../evaluate/features.ts'
import { type Overlap, type OverlapSummary, overlapOf } from '../evaluate/overlap.ts'
import { meanAndDeviation } from '../evaluate/scores.ts'
import {
  confusionOf,
  predictMasks,
  type Segmentation,
  type SegmentationOptions,
  type Segmented,
  tokenStatistics,
  trainHead,
} from '../evaluate/segmentation.ts'
import { type SegmentationHead, segmentationHeads } from '../evaluate/segmentation-heads.ts'
import { gridOfModel } from '../model/dimensions.ts'
import { classColour, classTile } from '../picture/class-map.ts'
import type { GridPicture } from '../picture/grid-layout.ts'
import type { Tile } from '../picture/tile.ts'
import { maskedImages } from '../prepare/masked-images.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import { draws } from '../random/draws.ts'
import { type MaskedFolder, openMaskedFolder } from '../source/masked-folder.ts'
import { subsetOf } from '../source/subset.ts'
import { callInPlace } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { narrow, toDevice, toDtype, zeros } from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import { tokenCount } from '../token/grid.ts'
import { sampleSize } from './assemble.ts'
import type { OpenedEncoder } from './encoder.ts'
import { type EvaluationData, partImages } from './evaluate.ts'
import type { Progress } from './features.ts'

export interface SegmentOptions {
  readonly encoder: OpenedEncoder
  readonly data: EvaluationData
  readonly heads: readonly SegmentationHead[]
  readonly settings: Omit<SegmentationOptions, 'head' | 'seed'>
  readonly seeds: readonly number[]
  /** The number in a mask that belongs to no class; -1 for none. */
  readonly ignored: number
  readonly onProgress?: Progress
  readonly onEpoch?: (told: { head: SegmentationHead; seed: number; epoch: number; loss: number }) => void
}

export interface SegmentationRow extends OverlapSummary {
  readonly head: SegmentationHead
  readonly title: string
  /** Of the first seed. */
  readonly overlap: Overlap
  /** [class][predicted] numbers of pixels, of the first seed. */
  readonly confusion: readonly (readonly number[])[]
}

export interface SegmentationReport {
  readonly format: 'sherd-segmentation/1'
  readonly model: OpenedEncoder['origin']
  readonly data: {
    readonly train: string
    readonly test: string
    readonly trainImages: number
    readonly testImages: number
    readonly skipped: number
  }
  readonly classes: readonly string[]
  readonly settings: Readonly<Record<string, unknown>>
  readonly seeds: readonly number[]
  readonly rows: readonly SegmentationRow[]
  /** Of naming the commonest class everywhere. */
  readonly chance: Pick<Overlap, 'meanIou' | 'pixelAccuracy'>
  readonly seconds: number
}

const SHOWN = 6 // test images in the picture
const MOST_MEMORY = 0.5 // of the machine's, for features
const BATCH = 32

interface Extracted {
  readonly set: Segmented
  readonly skipped: readonly SkippedFile[]
  /** The first images, to be shown. */
  readonly tiles: readonly Tile[]
}

const withFiles = (folder: MaskedFolder, kept: readonly number[]): MaskedFolder => ({
  ...folder,
  images: subsetOf(folder.images, kept),
  masks: kept.map((index) => folder.masks[index]!),
})

async function openBoth({
  train,
  test,
}: EvaluationData): Promise<{ train: MaskedFolder; test: MaskedFolder }> {
  const folder = await openMaskedFolder(train)
  if (test) {
    const other = await openMaskedFolder(test)
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

function expectMemory(images: number, { dimensions }: OpenedEncoder): void {
  const [height, width] = dimensions.imageSize
  const bytes = images * 2 * (tokenCount(gridOfModel(dimensions)) * dimensions.width + height * width)
  if (bytes <= MOST_MEMORY * totalmem()) return
  const gigabytes = (n: number) => `${(n / 1e9).toFixed(1)} GB`
  throw new SherdError(
    'VALUE',
    `The features of ${images} images need ${gigabytes(bytes)}, more than half of this machine's ${gigabytes(totalmem())}: give fewer images.`,
  )
}

async function extract(
  encoder: OpenedEncoder,
  folder: MaskedFolder,
  onProgress?: Progress,
): Promise<Extracted> {
  const { config, dimensions, machine } = encoder
  const of = folder.images.files.length
  const shape = [of, tokenCount(gridOfModel(dimensions)), dimensions.width]
  const cache = noGrad(() => unscoped(() => zeros(shape, { dtype: 'float16' })))
  const [height, width] = dimensions.imageSize
  const masks = new Uint16Array(of * height * width)
  const skipped: SkippedFile[] = []
  const tiles: Tile[] = []
  const tokens = tokensOf(encoder)
  const options = {
    ...{ ...sampleSize(config), batchSize: BATCH, decodeThreads: machine.decodeThreads },
    maxSkippedShare: config.data.maxSkippedShare,
  }
  let count = 0
  for await (const batch of maskedImages(folder, options, (file) => skipped.push(file))) {
    const rows = batch.indices.length
    noGrad(() =>
      scope(() => {
        const made = toDevice(toDtype(narrow(tokens(batch), 1, 1, shape[1]!), 'float16'), 'cpu')
        callInPlace('copy_', narrow(cache, 0, count, rows), made)
      }),
    )
    masks.set(batch.masks, count * height * width)
    const [, , , channels] = batch.shape
    const bytes = height * width * channels!
    for (let row = 0; row < rows && tiles.length < SHOWN; row++) {
      const pixels = batch.pixels.slice(row * bytes, (row + 1) * bytes)
      tiles.push({ width, height, channels: channels === 1 ? 1 : 3, pixels })
    }
    count += rows
    onProgress?.({ dir: folder.dir, done: count + skipped.length, of })
  }
  const kept = noGrad(() => unscoped(() => narrow(cache, 0, 0, count)))
  return { set: { count, tokens: kept, masks: masks.subarray(0, count * height * width) }, skipped, tiles }
}

const MOST_UNNAMED = 1000 // classes; more are numbers of objects, or another number is no class

/** The numbers that are classes, and their names: those of `classes.txt`, else the numbers that the masks hold. */
function classesOf(
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

/** What is no class, after `renumber`. */
const UNLABELLED = 65_535

/** Gives the classes the numbers 0, 1, … in place, and everything else the number that is none. */
function renumber({ masks }: Segmented, numbers: readonly number[]): void {
  const table = new Uint16Array(65_536).fill(UNLABELLED)
  for (const [place, label] of numbers.entries()) table[label] = place
  for (const [i, label] of masks.entries()) masks[i] = table[label]!
}

function labelCounts({ masks }: Segmented, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0)
  for (const label of masks) if (label !== UNLABELLED) counts[label]!++
  return counts
}

/** The report, and the picture of some test images. Throws `SOURCE` and `DATA_BROKEN` for images, `VALUE` for settings that do not fit. */
export async function segment(
  options: SegmentOptions,
): Promise<{ report: SegmentationReport; picture: GridPicture }> {
  const started = performance.now()
  const { encoder, data, heads, settings, seeds, ignored, onProgress } = options
  const { dimensions, device } = encoder
  const folders = await openBoth(data)
  expectMemory(folders.train.images.files.length + folders.test.images.files.length, encoder)
  const train = await extract(encoder, folders.train, onProgress)
  const test = await extract(encoder, folders.test, onProgress)
  const { numbers, names: classes } = classesOf(folders.train, [train.set, test.set], ignored)
  for (const { set } of [train, test]) renumber(set, numbers)
  const size = dimensions.imageSize
  const of: Segmentation = {
    shape: {
      ...{ classes: classes.length, width: dimensions.width, grid: gridOfModel(dimensions) },
      ...{ size, ignored: UNLABELLED },
    },
    statistics: tokenStatistics(train.set, device),
    device,
  }
  const shown = Array.from(test.tiles, (_, i) => i)
  const predictions: Uint16Array[] = []
  const rows = heads.map((head): SegmentationRow => {
    const attempts = seeds.map((seed, i) => {
      const trained = trainHead(train.set, of, { ...settings, head, seed }, (epoch, loss) =>
        options.onEpoch?.({ head, seed, epoch, loss }),
      )
      const confusion = confusionOf(test.set, trained, of)
      if (i === 0) predictions.push(predictMasks(test.set, shown, trained, of))
      for (const each of trained.parameters.values()) each.dispose()
      return { confusion, overlap: overlapOf(confusion, classes) }
    })
    const over = (what: 'meanIou' | 'pixelAccuracy' | 'meanAccuracy') =>
      meanAndDeviation(attempts.map(({ overlap }) => overlap[what]))
    return {
      ...{ head, title: segmentationHeads[head].title, ...attempts[0]! },
      ...{
        meanIou: over('meanIou'),
        pixelAccuracy: over('pixelAccuracy'),
        meanAccuracy: over('meanAccuracy'),
      },
    }
  })
  const learned = labelCounts(train.set, classes.length)
  const commonest = learned.indexOf(Math.max(...learned))
  const always = labelCounts(test.set, classes.length).map((count) =>
    classes.map((_, label) => (label === commonest ? count : 0)),
  )
  const { meanIou, pixelAccuracy } = overlapOf(always, classes)
  for (const each of [train.set.tokens, test.set.tokens, ...Object.values(of.statistics)]) each.dispose()
  const report: SegmentationReport = {
    format: 'sherd-segmentation/1',
    ...{ model: encoder.origin, classes, seeds, rows, chance: { meanIou, pixelAccuracy } },
    data: {
      train: folders.train.dir,
      test: data.test ? folders.test.dir : `a fifth of the images of ${folders.train.dir}`,
      ...{ trainImages: train.set.count, testImages: test.set.count },
      skipped: train.skipped.length + test.skipped.length,
    },
    settings: { ...settings, ignored: ignored < 0 ? 'none' : ignored, imageSize: size },
    seconds: (performance.now() - started) / 1000,
  }
  return { report, picture: pictureOf(report, { test, shown, predictions, size }) }
}

function pictureOf(
  { rows, classes, data }: SegmentationReport,
  {
    test,
    shown,
    predictions,
    size: [height, width],
  }: {
    test: Extracted
    shown: readonly number[]
    predictions: readonly Uint16Array[]
    size: readonly [number, number]
  },
): GridPicture {
  const tile = (masks: Uint16Array, i: number) =>
    classTile(masks.subarray(i * height * width, (i + 1) * height * width), { width, height }, classes.length)
  return {
    title: `Segmentation of ${data.testImages} test images`,
    columns: [
      { title: 'image' },
      { title: 'mask', subtitle: 'white: unlabelled' },
      ...rows.map(({ head, overlap }) => ({
        title: head,
        subtitle: `mIoU ${(100 * overlap.meanIou).toFixed(1)} %`,
      })),
    ],
    rows: shown.map((i) => [
      test.tiles[i]!,
      tile(test.set.masks, i),
      ...predictions.map((each) => tile(each, i)),
    ]),
    legend: classes.map((name, label) => ({ name, colour: classColour(label) })),
  }
}
