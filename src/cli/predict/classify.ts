/** `sherd classify`: classes of a folder's images, by a saved or exported classifier. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { SherdError } from '../../errors.ts'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import type { Progress } from '../../weights/folder-features.ts'
import { showImages } from '../encoder-options.ts'
import { describeCommand, modelOption } from '../help.ts'
import { noteSkipped, print, printJson, warn } from '../output.ts'
import { endProgress } from '../progress.ts'
import { readingOf } from '../reading-options.ts'
import { argumentOrOption } from '../spellings.ts'
import { addPredictOptions, type PredictFlags } from './predict-options.ts'

export function addClassify(root: Command): void {
  const command = describeCommand(root.command('classify'), {
    group: 'Use a model',
    page: 'evaluate.md#saving-what-was-learned',
    examples: [
      'sherd classify photos --model classifier.safetensors --out classes.csv  # with a head that an evaluation saved',
      'sherd classify photos --model export/classifier.onnx --out classes.json  # the same exported, without LibTorch',
    ],
  })
    .description('say the class of each image of a folder')
    .argument('[dir]', 'folder of images, or of packed ones')
    .addOption(modelOption({ what: 'a classifier.onnx, or what "evaluate finetune --save" wrote' }))
    .requiredOption('--out <file>', 'a .csv or .json: class and probability of the five likeliest')
    .action(runClassify)
  argumentOrOption(command, '--data <dir>', { required: true })
  addPredictOptions(command)
}

async function runClassify(dir: string, flags: PredictFlags): Promise<void> {
  letWaitingThreadsSleep()
  const { agreementOf, predictionFormat, predictionsOf, writePredictions } = await import(
    '../../evaluate/prediction-file.ts'
  )
  const { expectWritable } = await import('../../files/write-whole.ts')
  predictionFormat(flags.out) // before minutes are spent
  expectWritable(flags.out)
  const { origin, logits } = await openModel(flags, dir)
  const found = await logits(showImages())
  endProgress()
  if (found.indices.length === 0) throw new SherdError('DATA_BROKEN', `No image of ${dir} could be read.`)
  const predictions = predictionsOf(found)
  writePredictions(flags.out, found, { model: origin, predictions })
  const agreement = agreementOf(predictions, found.classes)
  const result = {
    ...{ file: resolve(flags.out), images: predictions.length, skipped: found.skipped.length },
    precision: origin.precision,
    ...(agreement && { labelled: agreement.of, top1: agreement.right / agreement.of }),
  }
  if (flags.json) return printJson(result)
  noteSkipped(found.skipped)
  print(
    `${predictions.length} images, ${found.classes.length} classes, computed in ${origin.precision}: ${result.file}`,
  )
  if (agreement)
    print(
      `${agreement.of} lie in folders with the names of classes: ${((100 * agreement.right) / agreement.of).toFixed(2)} % of them are found`,
    )
}

/** Exported files need no LibTorch. */
async function openModel({ model, device, precision, ...flags }: PredictFlags, dir: string) {
  const reading = readingOf(flags)
  if (!model.toLowerCase().endsWith('.onnx')) {
    const { classifierLogits, openClassifier } = await import('../../weights/open-classifier.ts')
    const classifier = openClassifier({ model, device, precision, reading })
    for (const message of classifier.warnings) warn(message)
    return {
      origin: classifier.origin,
      logits: (onProgress: Progress) => classifierLogits(classifier, dir, onProgress),
    }
  }
  const { expectPlainRequest } = await import('../../infer/onnx-model.ts')
  expectPlainRequest({ device, precision })
  const { onnxLogits, openOnnxClassifier } = await import('../../infer/onnx-classifier.ts')
  const classifier = await openOnnxClassifier(model, { reading })
  return {
    origin: classifier.origin,
    logits: (onProgress: Progress) => onnxLogits(classifier, dir, onProgress),
  }
}
