/** `sherd embed`: the features of a folder of images, as a file. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { SherdError } from '../../errors.ts'
import { sealOf } from '../../files/durable.ts'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import type { Embedder } from '../../search/embedder.ts'
import type { FeatureName } from '../../token/feature.ts'
import { addEncoderOptions, type EncoderFlags, requestOf, showImages } from '../encoder-options.ts'
import { describeCommand } from '../help.ts'
import { sayHowRead } from '../how-read.ts'
import { feature, listOf, poolOption } from '../options.ts'
import { noteThere, overwriteOption } from '../out-options.ts'
import { noteSkipped, print, printJson } from '../output.ts'
import { endProgress } from '../progress.ts'
import { readingOf } from '../reading-options.ts'
import { STOPPING, stopSignal } from '../signals.ts'
import { argumentOrOption } from '../spellings.ts'

interface Flags extends EncoderFlags {
  readonly out: string
  readonly pool?: FeatureName[]
  readonly overwrite?: boolean
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
      model: {
        what: 'a run, a checkpoint of it, a .safetensors file, hf:owner/name of the Hugging Face hub, an exported .onnx file or its folder, or "random"',
        exported: 'encoder',
      },
    },
  )
    .argument('[dir]', 'folder of images, or of packed ones')
    .requiredOption(
      '--out <file>',
      'a .npy (one feature) or .safetensors (any number); names and labels go to .json beside it',
    )
    .addOption(
      poolOption(
        'what to write, several with commas into a .safetensors',
        "the model's own; in a .safetensors cls, mean and pooled, where it has them",
        listOf(feature),
      ),
    )
    .addOption(overwriteOption())
    .option('--json', 'print the result as JSON')
    .action(runEmbed)
  argumentOrOption(command, '--data <dir>', { required: true })
}

async function runEmbed(dir: string, flags: Flags): Promise<void> {
  letWaitingThreadsSleep()
  const { featureFormat } = await import('../../evaluate/feature-file.ts')
  const { embedFolder } = await import('../../search/embed-folder.ts')
  featureFormat(flags.out) // before a model is read
  const embedder = await openModel(flags, dir)
  const { preset, config, set, modelSeed, bands } = flags
  const done = await embedFolder(dir, embedder, {
    ...{ out: flags.out, features: flags.pool, overwrite: flags.overwrite },
    options: {
      ...{ preset, set: set.length > 0 ? set : undefined, modelSeed, bands },
      config: config && sealOf(config).sha256,
    },
    ...{ onProgress: showImages(), signal: stopSignal(STOPPING) },
  })
  endProgress()
  noteThere(flags.out, done)
  const { images, width, features, skipped } = done.result
  const { precision } = embedder.origin
  const files = done.files.map((file) => resolve(file))
  if (flags.json)
    return printJson({
      ...{ kind: 'features', files, images, width, features, precision, skipped: skipped.length },
    })
  noteSkipped(skipped)
  const { asTaken } = await import('../../weights/how-taken.ts')
  const { feature: own, convention = null } = embedder
  const [first] = features
  const phrase =
    features.length === 1 && first!.tokens === 1 ? asTaken({ feature: own, convention }, first!.name) : ''
  const made = features.map(({ name, width, tokens }) =>
    tokens === 1 ? `${width} numbers (${name}${phrase})` : `${tokens} × ${width} numbers (${name})`,
  )
  print(`${images} images, each ${made.join(', ')}, computed in ${precision}: ${files.join(', ')}`)
}

/** Exported files need no LibTorch. */
async function openModel(flags: Flags, dir: string): Promise<Embedder> {
  const { openEmbedder } = await import('../../search/embedder.ts')
  const { model, preset, config, bands, set, modelSeed, device, precision, imageSize } = flags
  if (model.toLowerCase().endsWith('.onnx')) {
    if (preset !== undefined || config !== undefined || bands || set.length > 0 || modelSeed !== undefined)
      throw new SherdError(
        'USAGE',
        'An ONNX file says itself what the model is and which bands it takes: leave --preset, --config, --set, --bands and --model-seed out.',
      )
    return openEmbedder(model, { device, precision, imageSize, reading: readingOf(flags) })
  }
  const { model: _, ...request } = await requestOf(flags, dir)
  if (model === 'random' && !request.config)
    throw new SherdError('USAGE', 'A random encoder needs --preset NAME, which says what the model is.')
  const embedder = await openEmbedder(model, request)
  sayHowRead(embedder)
  return embedder
}
