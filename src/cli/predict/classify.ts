/** `sherd classify`: classes of a folder's images, by a saved or exported classifier. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import { showImages } from '../encoder-options.ts'
import { describeCommand, modelOption } from '../help.ts'
import { sayHowRead } from '../how-read.ts'
import { noteThere } from '../out-options.ts'
import { noteSkipped, print, printJson } from '../output.ts'
import { endProgress } from '../progress.ts'
import { readingOf } from '../reading-options.ts'
import { STOPPING, stopSignal } from '../signals.ts'
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
    .addOption(
      modelOption({
        what: 'what "evaluate finetune --save" wrote, or a classifier.onnx or its folder',
        exported: 'classifier',
      }),
    )
    .requiredOption('--out <file>', 'a .csv or .json: class and probability of the five likeliest')
    .action(runClassify)
  argumentOrOption(command, '--data <dir>', { required: true })
  addPredictOptions(command)
}

async function runClassify(dir: string, flags: PredictFlags): Promise<void> {
  letWaitingThreadsSleep()
  const { predictionFormat } = await import('../../evaluate/prediction-file.ts')
  const { classifyFolder, openAnyClassifier } = await import('../../search/classify-folder.ts')
  const { model, device, precision, out } = flags
  predictionFormat(out) // before a model is read
  const classifier = await openAnyClassifier({ model, device, precision, reading: readingOf(flags) })
  sayHowRead(classifier)
  const done = await classifyFolder(dir, classifier, {
    ...{ out, overwrite: flags.overwrite },
    ...{ onProgress: showImages('classes'), signal: stopSignal(STOPPING) },
  })
  endProgress()
  noteThere(out, done)
  const { images, classes, skipped, agreement } = done.result
  const result = {
    ...{ file: resolve(out), images, skipped: skipped.length },
    precision: classifier.origin.precision,
    ...(agreement && { labelled: agreement.of, top1: agreement.right / agreement.of }),
  }
  if (flags.json) return printJson({ kind: 'predictions', ...result })
  noteSkipped(skipped)
  print(`${images} images, ${classes} classes, computed in ${result.precision}: ${result.file}`)
  if (agreement)
    print(
      `${agreement.of} lie in folders with the names of classes: ${((100 * agreement.right) / agreement.of).toFixed(2)} % of them are found`,
    )
}
