/** Saves and opens segmenters (`sherd evaluate segment --save`). */

import { writeWeights } from '../checkpoint/weights-file.ts'
import { type SegmenterFacts, weightsMetadata } from '../checkpoint/weights-metadata.ts'
import { readingConfig } from '../config/reading.ts'
import { bandsOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { normedRows } from '../model/classifier.ts'
import type { Segmentation, TrainedHead } from '../model/segmentation-heads.ts'
import { scope } from '../tensor/scope.ts'
import { toFloats } from '../tensor/tensor.ts'
import { type FolderSegmentation, windowing } from './folder-segmentation.ts'
import {
  type FrozenSegmenter,
  pixelLogitsOf,
  segmentationShape,
  segmenterParameters,
  segmenterRows,
} from './frozen-segmenter.ts'
import {
  type EncoderRequest,
  encoderNorm,
  findWeights,
  type OpenedEncoder,
  openFor,
  openFound,
} from './open-encoder.ts'

export interface OpenedSegmenter
  extends OpenedEncoder,
    FrozenSegmenter,
    Pick<SegmenterFacts, 'numbers' | 'ignored'> {}

/** Writes encoder and head to a path from `openWeightsFile`. Throws `RUN`. */
export function saveSegmenter(
  path: string,
  { config, statistics, bands, parameters, origin }: OpenedEncoder,
  { trained, of, facts }: { trained: TrainedHead; of: Segmentation; facts: Omit<SegmenterFacts, 'head'> },
): void {
  const segmenter = { head: trained.head, ...facts }
  const metadata = weightsMetadata({ config, statistics, bands, protocol: 'segment', segmenter })
  const all = new Map([...parameters, ...segmenterParameters(trained, of.statistics)])
  writeWeights(path, all, { ...metadata, ...(origin.step !== null && { step: String(origin.step) }) })
}

/** Throws as `openEncoder`, and `USAGE` for a file without a segmenter. */
export async function openSegmenter(
  request: Pick<EncoderRequest, 'model' | 'device' | 'precision' | 'reading'>,
): Promise<OpenedSegmenter> {
  const found = await findWeights(request)
  const { segmenter, bands = null } = found
  if (!segmenter)
    throw new SherdError(
      'USAGE',
      `${request.model} has no head of segmentation: expected a file of "sherd evaluate segment --save", which trains one on images with masks.`,
    )
  const { head, classes, numbers, ignored } = segmenter
  const encoder = await openFound({ ...request, bands }, found, (shape, has, only) => {
    const norm = encoderNorm(has)
    const own = segmentationShape({ shape, only }, { classes: classes.length, ignored })
    return { norm, rows: [...normedRows(shape, norm), ...segmenterRows(head, own)] }
  })
  return { ...encoder, segmenter: head, classes, numbers, ignored }
}

/** For `writeMasks`. Throws `SOURCE`. */
export async function segmentationOf(segmenter: OpenedSegmenter, dir: string): Promise<FolderSegmentation> {
  const { config, machine, classes, numbers, origin } = segmenter
  const source = await openFor(segmenter, dir)
  const logits = pixelLogitsOf(segmenter)
  return {
    ...windowing(readingConfig(segmenter), source, { decoding: machine, shape: segmenter.shape }),
    ...{ facts: { classes, numbers }, model: origin },
    bands: segmenter.bands ?? bandsOf(config),
    logitsOf: (batch) => scope(() => toFloats(logits(batch))),
  }
}
