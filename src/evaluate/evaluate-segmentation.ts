/** Evaluation by segmentation: trains heads on features of a frozen encoder and scores them. */

import { openWeightsFile } from '../checkpoint/weights-file.ts'
import { SherdError } from '../errors.ts'
import { type Segmentation, type SegmentationHead, segmentationHeads } from '../model/segmentation-heads.ts'
import { classColour, classTile } from '../picture/class-map.ts'
import type { GridPicture } from '../picture/tile-grid-layout.ts'
import type { Progress } from '../weights/folder-features.ts'
import { segmentationShape } from '../weights/frozen-segmenter.ts'
import type { OpenedEncoder } from '../weights/open-encoder.ts'
import { saveSegmenter } from '../weights/open-segmenter.ts'
import { type EvaluatedImages, type EvaluationData, fingerprintOf } from './evaluate.ts'
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
  labelCounts,
  openMasked,
  renumber,
  UNLABELLED,
} from './segmentation-data.ts'

export interface SegmentOptions {
  readonly encoder: OpenedEncoder
  readonly data: EvaluationData
  readonly heads: readonly SegmentationHead[]
  readonly settings: Omit<SegmentationOptions, 'head' | 'seed'>
  readonly seeds: readonly number[]
  /** The ignored value of masks; -1 for none. */
  readonly ignored: number
  /** Where to save the encoder with the head of the first seed, whose confusion is in the report. Needs a single head. */
  readonly save?: string
  readonly signal?: AbortSignal
  readonly onProgress?: Progress
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

export const segmentationFormat = 'sherd-segmentation/2'

export interface SegmentationReport {
  readonly format: typeof segmentationFormat
  readonly model: OpenedEncoder['origin']
  readonly data: EvaluatedImages
  readonly classes: readonly string[]
  readonly settings: Readonly<Record<string, unknown>>
  readonly seeds: readonly number[]
  readonly rows: readonly SegmentationRow[]
  /** Of always predicting the commonest class. */
  readonly chance: Pick<Overlap, 'meanIou' | 'pixelAccuracy'>
  readonly seconds: number
}

/** Returns the report and a picture of some test images. Throws `SOURCE` and `DATA_BROKEN` for images, `VALUE` for settings. */
export async function segment(
  options: SegmentOptions,
): Promise<{ report: SegmentationReport; picture: GridPicture }> {
  const started = performance.now()
  const { encoder, data, heads, settings, seeds, ignored, onProgress } = options
  const { dimensions, device } = encoder
  if (options.save !== undefined && heads.length !== 1)
    throw new SherdError(
      'USAGE',
      `A file holds one head, and ${heads.length} were asked for: give --heads ${heads.join(' or --heads ')}.`,
    )
  const file = options.save === undefined ? null : openWeightsFile(options.save)
  const folders = await openMasked(encoder, data)
  expectMemory(folders.train.images.files.length + folders.test.images.files.length, encoder)
  const train = await extractTokens(encoder, folders.train, onProgress)
  const test = await extractTokens(encoder, folders.test, onProgress)
  const { numbers, names: classes } = classesOf(folders.train, [train.set, test.set], ignored)
  for (const { set } of [train, test]) renumber(set, numbers)
  const size = dimensions.imageSize
  const of: Segmentation = {
    shape: segmentationShape(encoder, { classes: classes.length, ignored: UNLABELLED }),
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
      if (i === 0 && file !== null)
        saveSegmenter(file, encoder, { trained, of, facts: { classes, numbers, ignored } })
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
    format: segmentationFormat,
    ...{ model: encoder.origin, classes, seeds, rows, chance: { meanIou, pixelAccuracy } },
    data: {
      train: folders.train.dir,
      test: data.test ? folders.test.dir : `a fifth of the images of ${folders.train.dir}`,
      ...{ trainImages: train.set.count, testImages: test.set.count },
      skipped: train.skipped.length + test.skipped.length,
      fingerprints: { train: fingerprintOf(folders.train.images), test: fingerprintOf(folders.test.images) },
    },
    settings: { ...settings, ignored: ignored < 0 ? 'none' : ignored, imageSize: size },
    seconds: (performance.now() - started) / 1000,
  }
  return { report, picture: pictureOf(report, { test, shown, predictions, size }) }
}

function pictureOf(
  { rows, classes, data, seeds }: SegmentationReport,
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
    title: `Segmentation of ${data.testImages} test images, heads of seed ${seeds[0]}`,
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
