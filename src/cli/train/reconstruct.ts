/** `sherd reconstruct`: a picture of what a run's model rebuilds. */
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { pause } from '../../errors.ts'
import type { PrecisionName } from '../../machine/plan.ts'
import type { StatisticsUsed } from '../../target/patch-statistics.ts'
import { describeCommand, modelOption } from '../help.ts'
import { sayHowRead } from '../how-read.ts'
import { deviceOption, ending, featurePrecisionOption, wholeNumber } from '../options.ts'
import { overwriteOption } from '../out-options.ts'
import { many, print, printJson } from '../output.ts'
import { counting, endProgress, phases } from '../progress.ts'
import { addReadingOptions, type ReadingFlags, readingOf } from '../reading-options.ts'
import { hearSecondSignal, stopSignal } from '../signals.ts'
import { oldSpelling } from '../spellings.ts'

interface Flags extends ReadingFlags {
  model: string
  data: string
  out: string
  count?: number
  seed?: number
  statistics?: StatisticsUsed
  composites?: string[]
  device: 'auto' | 'cpu' | 'cuda'
  precision?: PrecisionName
  overwrite?: boolean
  json?: boolean
}

export function addReconstruct(root: Command): void {
  const command = describeCommand(root.command('reconstruct'), {
    group: 'Train',
    page: 'picture.md',
    examples: [
      'sherd reconstruct --run runs/photos --data photos --out rebuilt.png  # what the model rebuilds of eight images',
    ],
  })
    .description('draw original, masked and rebuilt images, and say which statistics were used')
    .addOption(modelOption({ what: 'a run, a checkpoint of it, or a .safetensors file of both halves' }))
    .requiredOption('--data <dir>', 'folder of images, or of packed ones')
    .requiredOption('--out <file>', 'picture to write (.png)', ending('.png'))
    .option(
      '--count <n>',
      'how many images, spread evenly over the folder (default: 8; fewer rasters of many dates)',
      wholeNumber(1),
    )
    .option('--seed <n>', "seed of the masks (default: the run's)", wholeNumber(0))
    .addOption(
      new Option('--statistics <which>', 'where brightness and contrast of hidden patches come from').choices(
        ['raw', 'neighbours', 'true'],
      ),
    )
    .option(
      '--composites <which...>',
      'how rasters are shown: true, infrared, ndvi, a band, or three such as B11-B8-B4 (default: true, ndvi, each group)',
    )
    .addOption(deviceOption())
    .addOption(featurePrecisionOption())
    .addOption(overwriteOption())
    .option('--json', 'print the result as JSON')
    .action(runReconstruct)
  oldSpelling(command, '--images <dir>', '--data')
  oldSpelling(command, '--bands <composite...>', '--composites')
  addReadingOptions(command)
}

async function runReconstruct(flags: Flags): Promise<void> {
  const { expectFree } = await import('../../files/claim.ts')
  const { writeWhole } = await import('../../files/write-whole.ts')
  expectFree(flags.out, flags.overwrite)
  const { precisionNames } = await import('../../machine/plan.ts')
  const { loadModel } = await import('../../weights/load-model.ts')
  const { loadExhibit, reconstructExhibit } = await import('../../run/pictures.ts')
  const { drawReconstructions } = await import('../../picture/reconstruction-grid.ts')
  const { meanQuality } = await import('../../target/reconstruction-quality.ts')
  const { openData } = await import('../../config/assemble.ts')
  const { readingConfig } = await import('../../config/reading.ts')
  const model = await loadModel(flags.model, flags.device, flags.precision)
  const config = readingConfig({ ...model, reading: readingOf(flags) })
  sayHowRead(model)
  const signal = stopSignal('stopping')
  await hearSecondSignal()
  const watch = { onProgress: counting('reading', 'images'), signal }
  const exhibit = await loadExhibit(config, await openData(config, flags.data), flags.count, watch)
  const standing = { done: 0, of: exhibit.indices.length, continues: false }
  const phase = phases()
  phase(`rebuilding ${many(exhibit.indices.length, 'image')}`)
  await pause(signal, standing)
  const rebuilt = reconstructExhibit(model, exhibit, flags.seed ?? model.config.train.seed, {
    ...(flags.statistics && { used: [flags.statistics] }),
    ...(flags.composites && { composites: flags.composites }),
  })
  phase('drawing')
  await pause(signal, { ...standing, done: standing.of })
  const precision = precisionNames[model.precision]
  const png = await drawReconstructions(rebuilt, model.step === null ? {} : { step: model.step })
  endProgress()
  await pause(signal, { ...standing, done: standing.of })
  writeWhole(flags.out, png)
  const quality = (rebuilt.images[0]?.rebuilt ?? []).map(({ statistics }, i) => ({
    statistics,
    ...meanQuality(rebuilt.images.map((image) => image.rebuilt[i]!.quality)),
  }))
  if (flags.json)
    return printJson({
      ...{ kind: 'reconstruction', out: resolve(flags.out), images: exhibit.shape[0], step: model.step },
      ...{ precision, quality, ...(rebuilt.errors && { error: rebuilt.errors.mean }) },
    })
  const where = rebuilt.hiddenShare === null ? 'all patches' : 'hidden patches'
  for (const { statistics, psnr, ssim } of quality) {
    print(`statistics ${statistics}: PSNR ${psnr.toFixed(2)} dB, SSIM ${ssim.toFixed(3)} on ${where}`)
  }
  if (rebuilt.errors) print(`mean error of predicted patches: ${rebuilt.errors.mean.toPrecision(4)}`)
  print(`computed in ${precision}`)
  print(`reconstruction: ${resolve(flags.out)}`)
}
