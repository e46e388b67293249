/** A segmenter as a file: what `sherd evaluate segment --save` writes, opened again. */

import { SherdError } from '../errors.ts'
import type { Segmentation, TrainedHead } from '../evaluate/segmentation.ts'
import {
  type FrozenSegmenter,
  segmentationShape,
  segmenterParameters,
  segmenterRows,
} from '../evaluate/segmenter.ts'
import { normedRows } from '../model/classifier.ts'
import { type EncoderRequest, encoderNorm, findWeights, type OpenedEncoder, openFound } from './encoder.ts'
import { writeWeights } from './weights-file.ts'
import { type SegmenterFacts, weightsMetadata } from './weights-metadata.ts'

export interface OpenedSegmenter
  extends OpenedEncoder,
    FrozenSegmenter,
    Pick<SegmenterFacts, 'numbers' | 'ignored'> {}

/** Writes a frozen encoder and its head, to a path that `openWeightsFile` gave. Throws `RUN`. */
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

/** Throws `USAGE` for a file without a segmenter, besides what `openEncoder` throws. */
export function openSegmenter(request: Pick<EncoderRequest, 'model' | 'device'>): OpenedSegmenter {
  const found = findWeights(request)
  const { segmenter, bands = null } = found
  if (!segmenter)
    throw new SherdError(
      'USAGE',
      `${request.model} has no head of segmentation: expected a file of "sherd evaluate segment --save".`,
    )
  const { head, classes, numbers, ignored } = segmenter
  const encoder = openFound({ ...request, bands }, found, (shape, has, only) => {
    const norm = encoderNorm(has)
    const own = segmentationShape({ shape, only }, { classes: classes.length, ignored })
    return { norm, rows: [...normedRows(shape, norm), ...segmenterRows(head, own)] }
  })
  return { ...encoder, segmenter: head, classes, numbers, ignored }
}
