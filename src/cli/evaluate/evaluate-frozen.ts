/** `sherd evaluate knn`, `linear` and `fewshot`, on frozen features. */
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import type { EvaluateOptions, FeatureReport } from '../../evaluate/evaluate.ts'
import type { Shots } from '../../evaluate/labelled-features.ts'
import type { ProtocolName } from '../../evaluate/protocols.ts'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import type { FeatureName } from '../../token/feature.ts'
import { requestOf, showImages } from '../encoder-options.ts'
import { describeCommand } from '../help.ts'
import { sayHowRead } from '../how-read.ts'
import { feature, listOf, poolOption, positiveNumber, wholeNumber } from '../options.ts'
import { noteThere } from '../out-options.ts'
import { note } from '../output.ts'
import { counting, endProgress } from '../progress.ts'
import { STOPPING, stopSignal } from '../signals.ts'
import {
  type EvaluateFlags,
  imagesOf,
  type SaveFlags,
  seedsOf,
  shots,
  withClasses,
  withSave,
} from './evaluate-options.ts'
import { printReport } from './evaluate-report.ts'

interface Flags extends EvaluateFlags, SaveFlags {
  readonly neighbours?: number[]
  readonly temperature?: number
  readonly optimizer?: 'lars' | 'sgd'
  readonly rates?: number[]
  readonly epochs?: number
  readonly batch?: number
  readonly shots?: Shots[]
  readonly pool?: FeatureName[]
  readonly baseline: boolean
}

const withProbe = (command: Command): Command =>
  command
    .addOption(
      new Option('--optimizer <name>', 'how the map learns').choices(['lars', 'sgd']).default('lars'),
    )
    .option(
      '--rates <list>',
      'base learning rates, for 256 images; all are tried in one pass',
      listOf(positiveNumber),
    )
    .option('--epochs <n>', 'passes over the training images', wholeNumber(1), 90)
    .option('--batch <n>', 'images of a batch, at most', wholeNumber(1), 1024)

const withNeighbours = (command: Command): Command =>
  command
    .option('--neighbours <list>', 'numbers of neighbours (default: 10,20,100,200)', listOf(wholeNumber(1)))
    .option('--temperature <t>', 'of the vote (default: 0.07)', positiveNumber)

const withShots = (command: Command): Command =>
  command.option(
    '--shots <list>',
    'images of each class, such as 5,10 or 1%,10% (default: 1%,10%)',
    listOf(shots),
  )

const commands = {
  knn: {
    does: 'weighted vote of the nearest neighbours; nothing is learned',
    examples: [
      'sherd evaluate knn --run runs/photos --data labelled --out reports/knn  # a folder for each class',
    ],
    protocols: ['knn'],
    options: withNeighbours,
  },
  linear: {
    does: 'linear probe: a batch norm and a linear map on frozen features',
    examples: [
      'sherd evaluate linear --run runs/photos --data labelled --out reports/linear  # the map alone learns',
      'sherd evaluate linear --run runs/photos --data labelled --out reports/linear --save classifier.safetensors  # also keep the classifier',
    ],
    protocols: ['linear'],
    options: (command) =>
      withSave(withProbe(command), 'the encoder with the map that counts, its norm folded in,'),
  },
  fewshot: {
    does: 'the linear probe on a few images of each class',
    examples: [
      'sherd evaluate fewshot --run runs/photos --data labelled --out reports/fewshot --shots 5,20  # from 5 and from 20 images of each class',
    ],
    protocols: ['fewshot'],
    options: (command) => withShots(withProbe(command)),
  },
  frozen: {
    does: 'knn, linear and fewshot in one go, on features that are read once',
    examples: [
      'sherd evaluate frozen --run runs/photos --data labelled --out reports/frozen  # all three',
      'sherd evaluate frozen --model random --preset mae-small-64 --data labelled --out reports/random  # what random weights reach',
    ],
    protocols: ['knn', 'linear', 'fewshot'],
    options: (command) => withShots(withProbe(withNeighbours(command))),
  },
} as const satisfies Record<
  string,
  {
    does: string
    examples: readonly string[]
    protocols: readonly ProtocolName[]
    options: (command: Command) => Command
  }
>

export function addFrozen(evaluate: Command): void {
  for (const [name, { does, examples, protocols, options }] of Object.entries(commands))
    options(
      withClasses(
        describeCommand(evaluate.command(name), { page: 'evaluate.md', examples }).description(does),
        protocols.length > 1 ? 'folder for the folders of the reports: knn, linear, fewshot' : undefined,
      )
        .addOption(
          poolOption(
            'features that compete, such as cls,layer:-2',
            "cls, mean, pooled and the model's own, where it has them",
            listOf(feature),
          ),
        )
        .option('--no-baseline', 'do not read the images with random weights, too'),
    ).action((flags: Flags) => run(protocols, flags))
}

async function settingsOf(flags: Flags): Promise<EvaluateOptions['settings']> {
  const { knnDefaults } = await import('../../evaluate/knn.ts')
  const { sweeps } = await import('../../evaluate/linear-probe.ts')
  const optimizer = flags.optimizer ?? 'lars'
  return {
    neighbours: flags.neighbours ?? knnDefaults.neighbours,
    temperature: flags.temperature ?? knnDefaults.temperature,
    optimizer,
    baseLearningRates: flags.rates ?? sweeps[optimizer],
    epochs: flags.epochs ?? 90,
    batchSize: flags.batch ?? 1024,
    shots: flags.shots ?? [{ share: 0.01 }, { share: 0.1 }],
  }
}

async function run(names: readonly ProtocolName[], flags: Flags): Promise<void> {
  letWaitingThreadsSleep()
  const { judgeWithMap } = await import('../../evaluate/evaluate.ts')
  const { openImages } = await import('../../evaluate/open-images.ts')
  const { besideRandom, isLearned, randomImages } = await import('../../evaluate/beside-random.ts')
  const { saveProbe } = await import('../../evaluate/save-probe.ts')
  const { openWeightsFile } = await import('../../checkpoint/weights-file.ts')
  const { claimReports } = await import('../../evaluate/claim-report.ts')
  const { writeReport } = await import('../../evaluate/evaluation-report.ts')
  const { openEncoder } = await import('../../weights/open-encoder.ts')
  const data = await imagesOf(flags)
  const { out, overwrite, save } = flags
  const settings = await settingsOf(flags)
  const seeds = seedsOf(flags)
  const request = await requestOf(flags, data.train)
  const folders = names.length > 1 ? names : ['.']
  const file = save === undefined ? null : openWeightsFile(save)
  const signal = stopSignal(STOPPING)
  const { reports, wasThere } = await claimReports<FeatureReport>(
    {
      ...{ out, overwrite, save, data, folders, encoder: request },
      command: `evaluate ${names.length > 1 ? 'frozen' : names[0]}`,
      options: {
        settings: await usedSettings(names, settings),
        seeds,
        pool: flags.pool,
        ...(!flags.baseline && { baseline: false }),
      },
    },
    async ({ dir, state, fileFor }) => {
      if (state === 'continued') note(`continuing what was begun in ${dir}`)
      const encoder = await openEncoder(request)
      sayHowRead(encoder)
      const work = join(dir, 'work')
      const reading = { encoder, data, features: flags.pool, work, signal }
      const images = await openImages({ ...reading, onProgress: showImages() })
      const random =
        flags.baseline && isLearned(encoder)
          ? await randomImages({ ...reading, onProgress: showImages('random features') })
          : null
      const made: FeatureReport[] = []
      for (const [i, protocol] of names.entries()) {
        const watched = { signal, work, onPiece: counting(protocol, 'fits') }
        const { report, map } = await judgeWithMap(images, { protocol, settings, seeds, ...watched })
        if (file !== null && map) saveProbe(file, encoder, { map, classes: report.classes })
        const beside = { signal, work, onPiece: counting(`${protocol} of random weights`, 'fits') }
        made.push(await besideRandom(report, random, { protocol, settings, seeds, ...beside }))
        await writeReport(join(fileFor(), folders[i]!), made.at(-1)!)
      }
      endProgress()
      return made
    },
  )
  noteThere(out, { wasThere })
  for (const [i, report] of reports.entries())
    await printReport(report, { ...flags, out: join(out, folders[i]!) })
}

/** The settings that these protocols read. */
async function usedSettings(names: readonly ProtocolName[], settings: EvaluateOptions['settings']) {
  const { protocols } = await import('../../evaluate/protocols.ts')
  const used = new Set<string>(names.flatMap((name) => protocols[name].uses))
  return Object.fromEntries(Object.entries(settings).filter(([key]) => used.has(key)))
}
