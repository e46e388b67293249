/** `sherd evaluate`: what an encoder is worth for classification. */
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { SherdError } from '../errors.ts'
import type { Shots } from '../evaluate/labelled.ts'
import type { ProtocolName } from '../evaluate/protocols.ts'
import { letWaitingThreadsSleep } from '../machine/waiting.ts'
import type { EvaluateOptions, EvaluationData, Report } from '../run/evaluate.ts'
import { addEncoderOptions, type EncoderFlags, encoderOf, showImages } from './encoder-options.ts'
import { notNegative, positiveNumber, share, wholeNumber } from './options.ts'
import { duration, endProgress, note, print, printJson, progress, table } from './output.ts'
import { stopSignal, stopStatus } from './pretrain.ts'

interface Flags extends EncoderFlags {
  readonly data?: string
  readonly train?: string
  readonly test?: string
  readonly out: string
  readonly seeds: number
  readonly neighbours?: number[]
  readonly temperature?: number
  readonly optimizer?: 'lars' | 'sgd'
  readonly rates?: number[]
  readonly epochs?: number
  readonly batch?: number
  readonly shots?: Shots[]
  readonly json?: boolean
}

/** A list such as `10,20`, each read by `one`. */
const listOf =
  <T>(one: (text: string) => T) =>
  (text: string): T[] => {
    const values = text.split(',').map((part) => one(part.trim()))
    if (new Set(values.map((value) => JSON.stringify(value))).size !== values.length)
      throw new InvalidArgumentError('Expected a list without repetitions.')
    return values
  }

/** `1%` is a share of each class, `5` a number of its images. */
function shots(text: string): Shots {
  const share = text.match(/^(\d+(?:\.\d+)?)\s*%$/)?.[1]
  if (share === undefined) return { perClass: wholeNumber(1)(text) }
  if (!(Number(share) > 0 && Number(share) <= 100))
    throw new InvalidArgumentError('Expected a share from 0 to 100 %.')
  return { share: Number(share) / 100 }
}

const withImages = (command: Command): Command =>
  addEncoderOptions(command)
    .option(
      '--data <dir>',
      'folder with train/ and test/ (or val/); without them a fifth of each class tests',
    )
    .option('--train <dir>', 'training images, a folder for each class')
    .option('--test <dir>', 'test images, the same folders')
    .requiredOption('--out <dir>', 'folder for report.json, report.md and confusion.png')
    .option('--seeds <n>', 'how many attempts, seeds 0, 1, …', wholeNumber(1), 3)
    .option('--json', 'print the report as JSON')

export function addEvaluate(root: Command): void {
  const evaluate = root.command('evaluate').description('measure what an encoder has learned')
  withImages(
    evaluate.command('knn').description('weighted vote of the nearest neighbours; nothing is learned'),
  )
    .option('--neighbours <list>', 'numbers of neighbours (default: 10,20,100,200)', listOf(wholeNumber(1)))
    .option('--temperature <t>', 'of the vote (default: 0.07)', positiveNumber)
    .action((flags: Flags) => run('knn', flags))
  const probe = (name: 'linear' | 'fewshot', description: string) =>
    withProbe(withImages(evaluate.command(name).description(description))).action((flags: Flags) =>
      run(name, flags),
    )
  probe('linear', 'linear probe: a batch norm and a linear map on frozen features')
  const tune = (name: TuningName, description: string) =>
    withFinetuning(evaluate.command(name).description(description)).action((flags: FinetuneFlags) =>
      runFinetune(name, flags),
    )
  tune('finetune', 'train the whole encoder with a head on it')
  tune('partial', 'train the last blocks with a head on them').option(
    '--blocks <n>',
    'how many of the last blocks learn; 0 is the head alone (default: 1)',
    wholeNumber(0),
  )
  tune('scratch', 'the same from random weights: the baseline that pretraining has to beat')
  probe('fewshot', 'the linear probe on a few images of each class').option(
    '--shots <list>',
    'images of each class, such as 5,10 or 1%,10% (default: 1%,10%)',
    listOf(shots),
  )
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

interface FinetuneFlags extends Omit<Flags, 'rates' | 'optimizer' | 'shots'> {
  readonly shots?: Shots
  readonly accumulate?: number
  readonly rate?: number
  readonly minRate?: number
  readonly warmUp?: number
  readonly weightDecay?: number
  readonly layerDecay?: number
  readonly dropPath?: number
  readonly mixup?: number
  readonly cutmix?: number
  readonly smoothing?: number
  readonly randAugment?: number
  readonly erasing?: number
  readonly head?: 'mean' | 'cls'
  readonly ema?: number
  readonly blocks?: number
}

const withFinetuning = (command: Command): Command =>
  withImages(command)
    .option('--epochs <n>', 'passes over the training images (default: 100)', wholeNumber(1))
    .option('--batch <n>', 'images of a micro-batch (default: 128)', wholeNumber(2))
    .option('--accumulate <n>', 'micro-batches of a step (default: 1)', wholeNumber(1))
    .option('--rate <r>', 'base learning rate, for 256 images (default: 0.0005)', positiveNumber)
    .option('--min-rate <r>', 'where the cosine ends (default: 0.000001)', notNegative)
    .option('--warm-up <epochs>', 'epochs of warm-up (default: 5)', notNegative)
    .option('--weight-decay <w>', 'of matrices (default: 0.05)', notNegative)
    .option('--layer-decay <d>', 'of the rate, from layer to layer below (default: 0.65; scratch: 1)', share)
    .option('--drop-path <p>', 'stochastic depth of the last block (default: 0.1)', share)
    .option('--mixup <alpha>', '0 for none (default: 0.8)', notNegative)
    .option('--cutmix <alpha>', '0 for none (default: 1)', notNegative)
    .option('--rand-augment <m>', 'mean magnitude, up to 10; 0 for none (default: 9)', notNegative)
    .option('--erasing <p>', 'share of the images that random erasing changes (default: 0.25)', share)
    .option('--smoothing <s>', 'of the labels (default: 0.1)', share)
    .addOption(new Option('--head <on>', 'what the head reads (default: mean)').choices(['mean', 'cls']))
    .option('--shots <n>', 'learn from so many images of each class, such as 50 or 10% (default: all)', shots)
    .option('--ema <d>', 'score averaged weights, too: the share of the old that stays, such as 0.999', share)

type TuningName = 'finetune' | 'partial' | 'scratch'

async function runFinetune(protocol: TuningName, flags: FinetuneFlags): Promise<void> {
  letWaitingThreadsSleep()
  const { finetune, finetuneDefaults } = await import('../run/finetune.ts')
  const { openReport } = await import('../run/evaluation-report.ts')
  const data = await imagesOf(flags)
  const encoder = await encoderOf(flags)
  openReport(flags.out)
  const given = {
    ...{ epochs: flags.epochs, batchSize: flags.batch, accumulate: flags.accumulate },
    ...{ baseLearningRate: flags.rate, minLearningRate: flags.minRate, warmupEpochs: flags.warmUp },
    ...{ weightDecay: flags.weightDecay, layerDecay: flags.layerDecay, dropPath: flags.dropPath },
    ...{ mixup: flags.mixup, cutmix: flags.cutmix, smoothing: flags.smoothing },
    ...{ head: flags.head, ema: flags.ema, erasing: flags.erasing, shots: flags.shots },
    randAugment: flags.randAugment === 0 ? null : flags.randAugment,
    blocks: protocol === 'partial' ? (flags.blocks ?? 1) : undefined,
  }
  const signal = stopSignal('finishing this step; there will be no result')
  const report = await finetune({
    ...{ encoder, data, fromScratch: protocol === 'scratch', signal },
    seeds: Array.from({ length: flags.seeds }, (_, seed) => seed),
    settings: {
      ...finetuneDefaults,
      ...(protocol === 'scratch' && { layerDecay: 1 }),
      ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    },
    onStep: ({ step, loss, imagesPerSecond, stepSeconds }, seed, total) =>
      progress(
        `seed ${seed}, step ${step}/${total}, loss ${loss.toFixed(4)}, ${imagesPerSecond.toFixed(0)} images/s, ` +
          `${duration((total - step) * stepSeconds)} left`,
        step === 1 || step % Math.max(1, Math.floor(total / 10)) === 0,
      ),
  }).catch((error: unknown) => {
    if (!signal.aborted) throw error
    endProgress()
    process.exitCode = stopStatus()
  })
  if (!report) return
  await finish(report, flags)
}

async function settingsOf(flags: Flags): Promise<EvaluateOptions['settings']> {
  const { knnDefaults } = await import('../evaluate/knn.ts')
  const { sweeps } = await import('../evaluate/linear-probe.ts')
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

/** Where the images are, from the three options that say it. */
async function imagesOf({
  data,
  train,
  test,
}: Pick<Flags, 'data' | 'train' | 'test'>): Promise<EvaluationData> {
  const { findSplit } = await import('../run/evaluate.ts')
  if ((data === undefined) === (train === undefined) || (train === undefined && test !== undefined))
    throw new SherdError(
      'USAGE',
      'Expected images: either --data DIR, or --train DIR and, where there are any, --test DIR.',
    )
  return data === undefined ? { train: train!, test: test ?? null } : findSplit(data)
}

async function run(protocol: ProtocolName, flags: Flags): Promise<void> {
  letWaitingThreadsSleep()
  const { evaluate } = await import('../run/evaluate.ts')
  const { openReport } = await import('../run/evaluation-report.ts')
  const data = await imagesOf(flags)
  const encoder = await encoderOf(flags)
  openReport(flags.out)
  const report = await evaluate({
    ...{ protocol, encoder, data, settings: await settingsOf(flags) },
    seeds: Array.from({ length: flags.seeds }, (_, seed) => seed),
    onProgress: showImages(),
  })
  await finish(report, flags)
}

/** Writes the report and prints what it comes to. */
async function finish(report: Report, { out, json }: Pick<Flags, 'out' | 'json'>): Promise<void> {
  const { withDeviation, writeReport } = await import('../run/evaluation-report.ts')
  endProgress()
  await writeReport(out, report)
  if (json) return printJson(report)
  const attempts = report.seeds.length
  print(
    table(
      [
        ['', 'images', 'features', 'setting', 'top-1, %', 'held out, %'],
        ...report.rows.map((row, i) => [
          report.chosen.includes(i) ? '*' : '',
          row.group || 'all',
          row.pooling,
          row.setting,
          withDeviation(row.top1, attempts),
          row.heldOut === null ? '' : (100 * row.heldOut).toFixed(2),
        ]),
      ],
      [4, 5],
    ),
  )
  for (const { group, pooling, setting, top1 } of report.chosen.map((place) => report.rows[place]!))
    print(
      `${report.protocol}${group && ` ${group}`}: top-1 ${withDeviation(top1, attempts)} % of ${report.data.testImages} test images ` +
        `(${pooling}, ${setting}; chance ${(100 * report.chance).toFixed(2)} %)`,
    )
  if (report.data.skipped > 0) note(`${report.data.skipped} files could not be read and were left out.`)
  print(`report: ${resolve(out, 'report.md')}`)
}
