/** Saves and opens classifiers (`sherd evaluate --save`), and applies them to folders. */

import type { StoredArray } from '../checkpoint/arrays.ts'
import { writeWeights } from '../checkpoint/weights-file.ts'
import { type ClassifierFacts, weightsMetadata } from '../checkpoint/weights-metadata.ts'
import { readingConfig } from '../config/reading.ts'
import { SherdError } from '../errors.ts'
import { classifierRows, heads } from '../model/classifier.ts'
import type { ImageSource } from '../source/open.ts'
import { scope } from '../tensor/scope.ts'
import { type Tensor, toFloats } from '../tensor/tensor.ts'
import { gathering, type Progress, type ReadingOptions } from './folder-features.ts'
import { type FolderLogits, gatherLogits } from './folder-logits.ts'
import { type FrozenClassifier, logitsOf } from './frozen-classifier.ts'
import { type EncoderRequest, findWeights, type OpenedEncoder, openFor, openFound } from './open-encoder.ts'

export type OpenedClassifier = OpenedEncoder & FrozenClassifier

export interface SavedClassifier extends ClassifierFacts {
  /** Of encoder and head, under the names of `classifierRows`. */
  readonly parameters: ReadonlyMap<string, Tensor | StoredArray>
  /** Such as `finetune`. */
  readonly protocol: string
  /** Of a frozen encoder: its pretraining steps. */
  readonly step: number | null
}

/** Writes to a path from `openWeightsFile`. Throws `RUN`. */
export function saveClassifier(
  path: string,
  { config, statistics, bands }: OpenedEncoder,
  { parameters, head, classes, protocol, step }: SavedClassifier,
): void {
  const metadata = weightsMetadata({ config, statistics, bands, protocol, classifier: { head, classes } })
  writeWeights(path, parameters, { ...metadata, ...(step !== null && { step: String(step) }) })
}

/** Throws as `openEncoder`, and `USAGE` for a file without a classifier. */
export async function openClassifier(
  request: Pick<EncoderRequest, 'model' | 'device' | 'precision' | 'reading'>,
): Promise<OpenedClassifier> {
  const found = await findWeights(request)
  const { classifier, bands = null } = found
  if (!classifier)
    throw new SherdError(
      'USAGE',
      `${request.model} has no head of a classifier: expected a file of "sherd evaluate finetune --save" (or "evaluate linear --save"), which trains one on labelled images, or an imported classifier.`,
    )
  const { head, classes, isMultiLabel } = classifier
  const encoder = await openFound({ ...request, bands }, found, (backbone) => ({
    rows: classifierRows({ backbone, classes: classes.length, head }),
    norm: heads[head].norm,
  }))
  return { ...encoder, head, classes, isMultiLabel }
}

/** Logits of all readable images of a source. Throws `DATA_BROKEN`. */
export function logitsOfSource(
  classifier: OpenedClassifier,
  source: ImageSource,
  options: ReadingOptions = {},
): Promise<FolderLogits> {
  const { machine: decoding, shape, classes, isMultiLabel } = classifier
  const run = logitsOf(classifier)
  return gatherLogits({
    ...{ source, classes, isMultiLabel },
    reading: gathering(readingConfig(classifier), source, { ...options, decoding, shape }),
    logitsOf: (batch) => scope(() => toFloats(run(batch))),
  })
}

/** Throws `SOURCE` and `DATA_BROKEN`. */
export const classifierLogits = async (
  classifier: OpenedClassifier,
  dir: string,
  onProgress?: Progress,
): Promise<FolderLogits> => logitsOfSource(classifier, await openFor(classifier, dir), { onProgress })
