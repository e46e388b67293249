/** Evaluation by segmentation: trains heads on features of a frozen encoder and scores them. */

import { openWeightsFile } from '../checkpoint/weights-file.ts'
import { SherdError } from '../errors.ts'
import { withJournal } from '../files/batch-journal.ts'
import { inPieces, type Pieces, type Watching } from '../files/pieces.ts'
import {
  type Segmentation,
  type SegmentationHead,
  segmentationHeads,
  type TrainedHead,
} from '../model/segmentation-heads.ts'
import { classColour, classTile } from '../picture/class-map.ts'
import type { Tile } from '../picture/tile.ts'
import type { GridPicture } from '../picture/tile-grid-layout.ts'
import { disposeAll, scope } from '../tensor/scope.ts'
import { type Tensor, tensor, toFloats } from '../tensor/tensor.ts'
import type { Progress } from '../weights/folder-features.ts'
import { segmentationShape } from '../weights/frozen-segmenter.ts'
import type { BatchHead } from '../weights/gather-rows.ts'
import { type HowTaken, preparationText } from '../weights/how-taken.ts'
import type { OpenedEncoder } from '../weights/open-encoder.ts'
import { saveSegmenter } from '../weights/open-segmenter.ts'
import { type EvaluatedImages, type EvaluationData, fingerprintOf } from './evaluation-data.ts'
import { type Overlap, type OverlapSummary, overlapOf } from './mean-iou.ts'
import { meanAndDeviation } from './scores.ts'
import {
  confusionOf,
  predictMasks,
  type SegmentationOptions,
  tokenStatistics,
  trainHead,
} from './segmentation.ts'
import {
  classesOf,
  type Extracted,
  expectMemory,
  extractTokens,
  firstTiles,
  labelCounts,
  openMasked,
  renumber,
  SHOWN,
  UNLABELLED,
} from './segmentation-data.ts'

export interface SegmentOptions extends Watching {
  readonly encoder: OpenedEncoder
  readonly data: EvaluationData
  readonly heads: readonly SegmentationHead[]
  readonly settings: Omit<SegmentationOptions, 'head' | 'seed'>
  readonly seeds: readonly number[]
  /** The ignored value of masks; -1 for none. */
  readonly ignored: number
  /** Where to save the encoder with the head of the first seed, whose confusion is in the report. Needs a single head. */
  readonly save?: string
  readonly onProgress?: Progress
  /** A folder that keeps the tokens and the heads so far: the same call continues from there. */
  readonly work?: string | undefined
  readonly onEpoch?: (event: { head: SegmentationHead; seed: number; epoch: number; loss: number }) => void
}

export interface SegmentationRow extends OverlapSummary {
  readonly head: SegmentationHead
  readonly title: string
  /** Of the first seed. */
  readonly overlap: Overlap
  /** Pixels by [class][predicted], of the first seed. */
  readonly confusion: readonly (readonly number[])[]
}

const segmentationFormat = 'sherd-segmentation/2'

export interface SegmentationReport {
  readonly format: typeof segmentationFormat
  readonly model: OpenedEncoder['origin']
  readonly data: EvaluatedImages
  /** What was read of an image, and how it was prepared; reports of older versions lack it. */
  readonly reads?: HowTaken
  readonly classes: readonly string[]
  readonly settings: Readonly<Record<string, unknown>>
  readonly seeds: readonly number[]
  readonly rows: readonly SegmentationRow[]
  /** Of always predicting the commonest class. */
  readonly chance: Pick<Overlap, 'meanIou' | 'pixelAccuracy'>
  readonly seconds: number
}

/** What the heads learn from and are scored on. */
interface Task {
  readonly train: Extracted
  readonly test: Extracted
  readonly of: Segmentation
  readonly classes: readonly string[]
  /** Images of the test set in the picture. */
  readonly shown: readonly number[]
  /** Gets the head of the first seed. */
  readonly save: (trained: TrainedHead) => void
}

interface HeadFacts {
  readonly confusion: number[][]
}

interface Learned {
  readonly rows: readonly SegmentationRow[]
  /** Of the shown images, by each head of the first seed. */
  readonly predictions: readonly Uint16Array[]
}

async function learnHeads(
  { heads, seeds, settings, onEpoch }: SegmentOptions,
  { train, test, of, classes, shown, save }: Task,
  pieces: Pieces<HeadFacts>,
): Promise<Learned> {
  const predictions: Uint16Array[] = []
  const rows: SegmentationRow[] = []
  for (const head of heads) {
    const attempts: Pick<SegmentationRow, 'confusion' | 'overlap'>[] = []
    for (const [i, seed] of seeds.entries()) {
      const piece = await pieces.next(async (breath) => {
        const watch = {
          breath,
          onEpoch: (epoch: number, loss: number) => onEpoch?.({ head, seed, epoch, loss }),
        }
        const trained = await trainHead(train.set, of, { ...settings, head, seed }, watch)
        try {
          const confusion = await confusionOf(test.set, trained, of, breath)
          const parameters = [...trained.parameters.values()].map(toFloats)
          const arrays = i === 0 ? [predictMasks(test.set, shown, trained, of), ...parameters] : []
          return { head: { confusion }, arrays }
        } finally {
          disposeAll(trained.parameters)
        }
      })
      if (i === 0) {
        const [masks, ...parameters] = piece.arrays as readonly [Uint16Array, ...Float32Array[]]
        predictions.push(masks)
        scope(() => {
          const named = segmentationHeads[head]
            .rows(of.shape)
            .map(({ name, shape }, at) => [name, tensor(parameters[at]!, shape)] as const)
          save({ head, parameters: new Map(named) })
        })
      }
      const { confusion } = piece.head
      attempts.push({ confusion, overlap: overlapOf(confusion, classes) })
    }
    const over = (what: 'meanIou' | 'pixelAccuracy' | 'meanAccuracy') =>
      meanAndDeviation(attempts.map(({ overlap }) => overlap[what]))
    rows.push({
      ...{ head, title: segmentationHeads[head].title, ...attempts[0]! },
      ...{ meanIou: over('meanIou'), pixelAccuracy: over('pixelAccuracy') },
      meanAccuracy: over('meanAccuracy'),
    })
  }
  return { rows, predictions }
}

/** Of always predicting the commonest class of the training images. */
function chanceOf({ train, test, classes }: Task): SegmentationReport['chance'] {
  const learned = labelCounts(train.set, classes.length)
  const commonest = learned.indexOf(Math.max(...learned))
  const always = labelCounts(test.set, classes.length).map((count) =>
    classes.map((_, label) => (label === commonest ? count : 0)),
  )
  const { meanIou, pixelAccuracy } = overlapOf(always, classes)
  return { meanIou, pixelAccuracy }
}

/**
 * Returns the report and a picture of some test images. Throws `SOURCE` and `DATA_BROKEN` for images, `VALUE` for settings, `INTERRUPTED` when
 * the signal is aborted.
 */
export async function segment(
  options: SegmentOptions,
): Promise<{ report: SegmentationReport; picture: GridPicture }> {
  const { encoder, data, heads, settings, seeds, ignored, work, signal, onProgress, onPiece } = options
  const { dimensions, device } = encoder
  if (options.save !== undefined && heads.length !== 1)
    throw new SherdError(
      'USAGE',
      `A file holds one head, and ${heads.length} were asked for: give --heads ${heads.join(' or --heads ')}.`,
    )
  const file = options.save === undefined ? null : openWeightsFile(options.save)
  const folders = await openMasked(encoder, data)
  expectMemory(folders.train.images.files.length + folders.test.images.files.length, encoder)
  const held: Tensor[] = []
  const read = async (name: 'train' | 'test') => {
    const found = await withJournal<BatchHead, Extracted>(work, name, (journal) =>
      extractTokens(encoder, folders[name], { journal, signal, onProgress }),
    )
    held.push(found.set.tokens)
    return found
  }
  try {
    const [train, test] = [await read('train'), await read('test')]
    const { numbers, names: classes } = classesOf(folders.train, [train.set, test.set], ignored)
    for (const { set } of [train, test]) renumber(set, numbers)
    const watching = { of: heads.length * seeds.length, unit: 'heads', dir: work, name: 'heads' }
    return await inPieces<HeadFacts, Awaited<ReturnType<typeof segment>>>(
      { ...watching, signal, onPiece },
      async (pieces) => {
        const statistics = await tokenStatistics(train.set, device, pieces.breath)
        held.push(statistics.mean, statistics.deviation)
        const shape = segmentationShape(encoder, { classes: classes.length, ignored: UNLABELLED })
        const of: Segmentation = { shape, statistics, device }
        const save = (trained: TrainedHead) => {
          if (file !== null)
            saveSegmenter(file, encoder, { trained, of, facts: { classes, numbers, ignored } })
        }
        const shown = [...Array(Math.min(SHOWN, test.set.count)).keys()]
        const task: Task = { train, test, of, classes, shown, save }
        const { rows, predictions } = await learnHeads(options, task, pieces)
        const report: SegmentationReport = {
          format: segmentationFormat,
          ...{ model: encoder.origin, classes, seeds, rows, chance: chanceOf(task) },
          data: {
            train: folders.train.dir,
            test: data.test ? folders.test.dir : `a fifth of the images of ${folders.train.dir}`,
            ...{ trainImages: train.set.count, testImages: test.set.count },
            skipped: train.skipped.length + test.skipped.length,
            fingerprints: {
              train: fingerprintOf(folders.train.images),
              test: fingerprintOf(folders.test.images),
            },
          },
          reads: {
            ...{ feature: 'patches', convention: null, imageSize: dimensions.imageSize },
            preparation: preparationText(encoder, true),
          },
          settings: { ...settings, ignored: ignored < 0 ? 'none' : ignored, imageSize: dimensions.imageSize },
          seconds: train.seconds + test.seconds + pieces.seconds(),
        }
        const tiles = await firstTiles(encoder, folders.test, test)
        return {
          report,
          picture: pictureOf(report, { test, tiles, predictions, size: dimensions.imageSize }),
        }
      },
    )
  } finally {
    disposeAll(held)
  }
}

function pictureOf(
  { rows, classes, data, seeds }: SegmentationReport,
  {
    test,
    tiles,
    predictions,
    size: [height, width],
  }: {
    test: Extracted
    tiles: readonly Tile[]
    predictions: readonly Uint16Array[]
    size: readonly [number, number]
  },
): GridPicture {
  const tile = (masks: Uint16Array, i: number) =>
    classTile(masks.subarray(i * height * width, (i + 1) * height * width), { width, height }, classes.length)
  return {
    title: `Segmentation of ${data.testImages} test images, heads of seed ${seeds[0]}`,
    columns: [
      { title: 'image' },
      { title: 'mask', subtitle: 'white: unlabelled' },
      ...rows.map(({ head, overlap }) => ({
        title: head,
        subtitle: `mIoU ${(100 * overlap.meanIou).toFixed(1)} %`,
      })),
    ],
    rows: tiles.map((image, i) => [
      image,
      tile(test.set.masks, i),
      ...predictions.map((each) => tile(each, i)),
    ]),
    legend: classes.map((name, label) => ({ name, colour: classColour(label) })),
  }
}
