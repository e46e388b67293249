/** `sherd segment`: a mask of classes for each image of a folder, by a saved or exported segmenter. */
import type { Command } from 'commander'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import { showImages } from '../encoder-options.ts'
import { describeCommand, modelOption } from '../help.ts'
import { noteSkipped, print, printJson, warn } from '../output.ts'
import { endProgress } from '../progress.ts'
import { readingOf } from '../reading-options.ts'
import { argumentOrOption } from '../spellings.ts'
import { addPredictOptions, type PredictFlags } from './predict-options.ts'

export function addSegmentFolder(root: Command): void {
  const command = describeCommand(root.command('segment'), {
    group: 'Use a model',
    page: 'evaluate.md',
    examples: [
      'sherd segment photos --model segmenter.safetensors --out masks  # with a head that an evaluation saved',
      'sherd segment photos --model export/segmenter.onnx --out masks  # the same exported, without LibTorch',
    ],
  })
    .description('say the class of every pixel of the images of a folder')
    .argument('[dir]', 'folder of images, or of packed ones')
    .addOption(
      modelOption({
        what: 'what "evaluate segment --save" wrote, or a segmenter.onnx or its folder',
        exported: 'segmenter',
      }),
    )
    .requiredOption(
      '--out <dir>',
      'folder for masks/ (PNG of class numbers), segmentation.png and masks.json',
    )
    .action(runSegment)
  argumentOrOption(command, '--data <dir>', { required: true })
  addPredictOptions(command)
}

async function runSegment(dir: string, flags: PredictFlags): Promise<void> {
  letWaitingThreadsSleep()
  const { writeMasks } = await import('../../evaluate/mask-files.ts')
  const segmentation = await openSegmentation(flags, dir)
  const { images, files } = await writeMasks(flags.out, { ...segmentation, onProgress: showImages() })
  endProgress()
  const { skipped, model } = segmentation
  if (flags.json)
    return printJson({ kind: 'masks', files, images, precision: model.precision, skipped: skipped.length })
  noteSkipped(skipped)
  print(
    `${images} images, ${segmentation.facts.classes.length} classes, computed in ${model.precision}: ${files.join(', ')}`,
  )
}

/** Exported files need no LibTorch. */
async function openSegmentation({ model, device, precision, ...flags }: PredictFlags, dir: string) {
  const reading = readingOf(flags)
  if (!model.toLowerCase().endsWith('.onnx')) {
    const { openSegmenter, segmentationOf } = await import('../../weights/open-segmenter.ts')
    const segmenter = openSegmenter({ model, device, precision, reading })
    for (const message of segmenter.warnings) warn(message)
    return segmentationOf(segmenter, dir)
  }
  const { expectPlainRequest } = await import('../../infer/onnx-model.ts')
  expectPlainRequest({ device, precision })
  const { onnxSegmentation, openOnnxSegmenter } = await import('../../infer/onnx-segmenter.ts')
  return onnxSegmentation(await openOnnxSegmenter(model, { reading }), dir)
}
