/** `sherd embed`: the features of a folder of images, as a file. */
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { SherdError } from '../../errors.ts'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import type { Pooling } from '../../token/pool.ts'
import type { Progress } from '../../weights/folder-features.ts'
import { addEncoderOptions, type EncoderFlags, encoderOf, showImages } from '../encoder-options.ts'
import { describeCommand } from '../help.ts'
import { noteSkipped, print, printJson } from '../output.ts'
import { endProgress } from '../progress.ts'
import { readingOf } from '../reading-options.ts'
import { argumentOrOption } from '../spellings.ts'

interface Flags extends EncoderFlags {
  readonly out: string
  readonly pool: Pooling
  readonly json?: boolean
}

export function addEmbed(root: Command): void {
  const command = addEncoderOptions(
    describeCommand(root.command('embed'), {
      group: 'Use a model',
      page: 'evaluate.md',
      examples: [
        'sherd embed photos --run runs/photos --out features.npy  # one vector for each image, for NumPy',
        'sherd embed photos --model export/encoder.onnx --out features.safetensors  # with an exported encoder, without LibTorch',
      ],
    }).description('write the features of a folder of images'),
    {
      models: 'an exported .onnx file, a run, a checkpoint of it, a .safetensors file, or "random"',
    },
  )
    .argument('[dir]', 'folder of images, or of packed ones')
    .requiredOption(
      '--out <file>',
      'a .npy (one pooling) or .safetensors (cls and mean); names and labels go to .json beside it',
    )
    .addOption(new Option('--pool <how>', 'what a .npy holds').choices(['cls', 'mean']).default('mean'))
    .option('--json', 'print the result as JSON')
    .action(runEmbed)
  argumentOrOption(command, '--data <dir>', { required: true })
}

async function runEmbed(dir: string, flags: Flags): Promise<void> {
  letWaitingThreadsSleep()
  const { featureFormat, writeFeatures } = await import('../../evaluate/feature-file.ts')
  const { expectWritable } = await import('../../files/write-whole.ts')
  featureFormat(flags.out) // before minutes are spent
  expectWritable(flags.out)
  const { origin, features } = await openModel(flags, dir)
  const found = await features(showImages())
  endProgress()
  if (found.features.count === 0) throw new SherdError('DATA_BROKEN', `No image of ${dir} could be read.`)
  const { files } = writeFeatures(flags.out, found, { pooling: flags.pool, model: origin })
  const { count, width } = found.features
  const result = {
    files: files.map((file) => resolve(file)),
    images: count,
    width,
    precision: origin.precision,
    skipped: found.skipped.length,
  }
  if (flags.json) return printJson(result)
  noteSkipped(found.skipped)
  print(`${count} images, ${width} numbers each, computed in ${origin.precision}: ${result.files.join(', ')}`)
}

/** Exported files need no LibTorch. */
async function openModel(flags: Flags, dir: string) {
  if (!flags.model.toLowerCase().endsWith('.onnx')) {
    const { featuresOf } = await import('../../weights/folder-features.ts')
    const encoder = await encoderOf(flags, dir)
    return {
      origin: encoder.origin,
      features: (onProgress: Progress) => featuresOf(encoder, dir, onProgress),
    }
  }
  const { openOnnxEncoder, onnxFeatures } = await import('../../infer/onnx-encoder.ts')
  const { expectPlainRequest } = await import('../../infer/onnx-model.ts')
  const { config, ...request } = flags
  const { preset, bands, set, modelSeed } = request
  if (preset !== undefined || config !== undefined || bands || set.length > 0 || modelSeed !== undefined)
    throw new SherdError(
      'USAGE',
      'An ONNX file says itself what the model is and which bands it takes: leave --preset, --config, --set, --bands and --model-seed out.',
    )
  expectPlainRequest(request)
  const encoder = await openOnnxEncoder(flags.model, { reading: readingOf(flags) })
  return {
    origin: encoder.origin,
    features: (onProgress: Progress) => onnxFeatures(encoder, dir, onProgress),
  }
}
