/** `sherd tokenize`: the codes of a folder's images by a tokenizer, as a file. */
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

interface Flags extends PredictFlags {
  readonly sheet?: string
}

export function addTokenize(root: Command): void {
  const command = describeCommand(root.command('tokenize'), {
    group: 'Use a model',
    page: 'objective.md#codes-of-a-folder',
    examples: [
      'sherd tokenize photos --model runs/vq --out codes.npy  # a number for each patch, for NumPy',
      'sherd tokenize photos --model runs/vq --out codes.safetensors --sheet codes.png  # and what the most used codes look like',
    ],
  })
    .description("write the codes of a folder's images, a number for each patch")
    .argument('[dir]', 'folder of images, or of packed ones')
    .addOption(
      modelOption({
        what: 'the run of a tokenizer (objective vqkd or vq-pixels), a checkpoint of it, or its model.safetensors',
      }),
    )
    .requiredOption('--out <file>', 'a .npy or .safetensors; names and labels go to .json beside it')
    .option('--sheet <file>', 'a PNG of the 24 most used codes, each with patches that have it')
    .action(runTokenize)
  argumentOrOption(command, '--data <dir>', { required: true })
  addPredictOptions(command)
}

async function runTokenize(dir: string, flags: Flags): Promise<void> {
  letWaitingThreadsSleep()
  const { featureFormat } = await import('../../evaluate/feature-file.ts')
  const { openTokenizer } = await import('../../weights/frozen-tokenizer.ts')
  const { tokenizeFolder } = await import('../../search/tokenize-folder.ts')
  const { model, device, precision, out, sheet, overwrite } = flags
  featureFormat(out) // before a model is read
  const tokenizer = await openTokenizer({ model, device, precision, reading: readingOf(flags) })
  sayHowRead(tokenizer)
  const done = await tokenizeFolder(dir, tokenizer, {
    ...{ out, sheet, overwrite },
    ...{ onProgress: showImages('codes'), signal: stopSignal(STOPPING) },
  })
  endProgress()
  noteThere(out, done)
  const { images, grid, size, used, perplexity, skipped } = done.result
  const files = done.files.map((file) => resolve(file))
  const precisionUsed = tokenizer.origin.precision
  if (flags.json)
    return printJson({
      ...{ kind: 'codes', files, images, grid, codes: size, used, perplexity },
      ...{ precision: precisionUsed, skipped: skipped.length },
    })
  noteSkipped(skipped)
  print(`${images} images, each ${grid.join(' × ')} codes, computed in ${precisionUsed}: ${files.join(', ')}`)
  print(`${used} of ${size} codes are used, perplexity ${perplexity.toPrecision(3)}`)
}
