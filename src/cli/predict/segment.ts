/** `sherd segment`: a mask of classes for each image of a folder, by a saved or exported segmenter. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { claimed } from '../../files/claim.ts'
import { sealOf } from '../../files/durable.ts'
import { fingerprintOf } from '../../files/fingerprint.ts'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import type { SkippedFile } from '../../prepare/skipped.ts'
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
      'folder for masks/ (PNG of class numbers, as large as their images), segmentation.png and masks.json',
    )
    .action(runSegment)
  argumentOrOption(command, '--data <dir>', { required: true })
  addPredictOptions(command)
}

interface Masks {
  readonly images: number
  readonly classes: number
  readonly precision: string
  readonly skipped: readonly SkippedFile[]
}

async function runSegment(dir: string, flags: PredictFlags): Promise<void> {
  letWaitingThreadsSleep()
  const { writeMasks } = await import('../../evaluate/mask-files.ts')
  const { model, device, precision, out, overwrite, maxPixels, corrupt } = flags
  const segmentation = await openSegmentation(flags, dir) // says what is wrong with a model
  const made = {
    command: 'segment',
    options: { device, precision, maxPixels, corrupt },
    inputs: { images: fingerprintOf(dir), model: await sealOfSegmenter(model) },
  }
  const isResult = (place: string) => existsSync(join(place, 'masks.json'))
  const signal = stopSignal(STOPPING)
  const done = await claimed<Masks>(
    { out, kind: 'folder', made, overwrite, continues: true, isResult },
    async ({ dir: draft, fileFor }) => {
      const work = join(draft, 'work')
      const options = { work, onProgress: showImages('masks'), signal }
      const { images, skipped } = await writeMasks(fileFor(), segmentation, options)
      const { model, facts } = segmentation
      return { images, classes: facts.classes.length, precision: model.precision, skipped }
    },
  )
  endProgress()
  noteThere(out, done)
  const { images, classes, skipped, ...rest } = done.result
  const files = ['masks', 'segmentation.png', 'masks.json'].map((name) => resolve(out, name))
  if (flags.json)
    return printJson({ kind: 'masks', files, images, precision: rest.precision, skipped: skipped.length })
  noteSkipped(skipped)
  print(`${images} images, ${classes} classes, computed in ${rest.precision}: ${files.join(', ')}`)
}

const isGraph = (model: string) => model.toLowerCase().endsWith('.onnx')

const sealOfSegmenter = async (model: string): Promise<string> =>
  isGraph(model) ? sealOf(model).sha256 : (await import('../exchange/model-seal.ts')).modelSeal({ model })

/** Exported files need no LibTorch. */
async function openSegmentation({ model, device, precision, ...flags }: PredictFlags, dir: string) {
  const reading = readingOf(flags)
  if (!isGraph(model)) {
    const { openSegmenter, segmentationOf } = await import('../../weights/open-segmenter.ts')
    const segmenter = await openSegmenter({ model, device, precision, reading })
    sayHowRead(segmenter)
    return segmentationOf(segmenter, dir)
  }
  const { expectPlainRequest } = await import('../../infer/onnx-model.ts')
  expectPlainRequest({ device, precision })
  const { onnxSegmentation, openOnnxSegmenter } = await import('../../infer/onnx-segmenter.ts')
  return onnxSegmentation(await openOnnxSegmenter(model, { reading }), dir)
}
