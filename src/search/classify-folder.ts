/** The classes of a folder's images as a file; continued after an interruption, to the same bytes. */
import { SherdError } from '../errors.ts'
import {
  agreementOf,
  predictionFormat,
  predictionsOf,
  writePredictions,
} from '../evaluate/prediction-file.ts'
import { claimed } from '../files/claim.ts'
import { sealOf } from '../files/durable.ts'
import { localModel } from '../hub/locate.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { ImageSource } from '../source/open.ts'
import type { Progress, ReadingOptions } from '../weights/folder-features.ts'
import type { FolderLogits } from '../weights/folder-logits.ts'
import { type EncoderRequest, openFor } from '../weights/open-encoder.ts'
import { type AppliedModel, madeOfImages, withJournal } from './claimed-rows.ts'

export interface Classifier extends AppliedModel {
  readonly bands: readonly string[] | null
  readonly warnings: readonly string[]
  /** How a model of another program was read. */
  readonly notes?: readonly string[] | undefined
  logits(source: ImageSource, options: ReadingOptions): Promise<FolderLogits>
}

/** A saved or an exported one; the latter needs no LibTorch. */
export async function openAnyClassifier({
  model,
  device,
  precision,
  reading = {},
}: Pick<EncoderRequest, 'model' | 'device' | 'precision' | 'reading'>): Promise<Classifier> {
  if (!model.toLowerCase().endsWith('.onnx')) {
    const { logitsOfSource, openClassifier } = await import('../weights/open-classifier.ts')
    const { findWeights } = await import('../weights/open-encoder.ts')
    const { sealOfModel } = await import('../weights/found-weights.ts')
    const seal = sealOfModel(await findWeights({ model }))
    const classifier = await openClassifier({ model, device, precision, reading })
    const { config, bands, origin, warnings, notes } = classifier
    return {
      ...{ config, reading, bands, origin, warnings, notes, seal },
      logits: (source, options) => logitsOfSource(classifier, source, options),
    }
  }
  const { expectPlainRequest } = await import('../infer/onnx-model.ts')
  expectPlainRequest({ device, precision })
  const { onnxLogitsOfSource, openOnnxClassifier } = await import('../infer/onnx-classifier.ts')
  const { path } = await localModel(model)
  const classifier = await openOnnxClassifier(path, { reading })
  const { config, bands, origin } = classifier
  return {
    ...{ config, reading, bands, origin, warnings: [], seal: sealOf(path).sha256 },
    logits: (source, options) => onnxLogitsOfSource(classifier, source, options),
  }
}

export interface ClassifyOptions {
  /** A `.csv` or `.json`. */
  readonly out: string
  readonly overwrite?: boolean | undefined
  readonly onProgress?: Progress
  readonly signal?: AbortSignal
}

export interface Classified {
  readonly images: number
  readonly classes: number
  readonly skipped: readonly SkippedFile[]
  /** By the names of folders; null where these are no classes. */
  readonly agreement: { readonly right: number; readonly of: number } | null
}

/** Throws as `claim` and `gatherLogits`. */
export async function classifyFolder(
  dir: string,
  classifier: Classifier,
  { out, overwrite, onProgress, signal }: ClassifyOptions,
): Promise<{ readonly result: Classified; readonly wasThere: boolean }> {
  const source = await openFor(classifier, dir)
  const made = madeOfImages('classify', classifier, source, { format: predictionFormat(out) })
  const request = { out, kind: 'file', made, overwrite, continues: true } as const
  return claimed<Classified>(request, async (draft) => {
    const found = await withJournal(draft, (journal) =>
      classifier.logits(source, { journal, signal, onProgress }),
    )
    if (found.indices.length === 0) throw new SherdError('DATA_BROKEN', `No image of ${dir} could be read.`)
    const predictions = predictionsOf(found)
    writePredictions(draft.fileFor(), found, { model: classifier.origin, predictions })
    const { classes, skipped } = found
    return {
      ...{ images: predictions.length, classes: classes.length, skipped },
      agreement: agreementOf(predictions, classes),
    }
  })
}
