/** `sherd evaluate`: what an encoder is worth for classification. */
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { SherdError } from '../errors.ts'
import type { Shots } from '../evaluate/labelled.ts'
import type { ProtocolName } from '../evaluate/protocols.ts'
import type { EvaluateOptions } from '../run/evaluate.ts'
import { addEncoderOptions, type EncoderFlags, encoderOf, showImages } from './encoder-options.ts'
import { positiveNumber, wholeNumber } from './options.ts'
import { endProgress, note, print, printJson, table } from './output.ts'

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

async function run(protocol: ProtocolName, flags: Flags): Promise<void> {
  const { evaluate, findSplit } = await import('../run/evaluate.ts')
  const { openReport, withDeviation, writeReport } = await import('../run/evaluation-report.ts')
  const { data, train, test } = flags
  if ((data === undefined) === (train === undefined) || (train === undefined && test !== undefined))
    throw new SherdError(
      'USAGE',
      'Expected images: either --data DIR, or --train DIR and, where there are any, --test DIR.',
    )
  const images = data === undefined ? { train: train!, test: test ?? null } : findSplit(data)
  openReport(flags.out)
  const encoder = await encoderOf(flags)
  const report = await evaluate({
    ...{ protocol, encoder, data: images, settings: await settingsOf(flags) },
    seeds: Array.from({ length: flags.seeds }, (_, seed) => seed),
    onProgress: showImages(),
  })
  endProgress()
  await writeReport(flags.out, report)
  if (flags.json) return printJson(report)
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
      `${protocol}${group && ` ${group}`}: top-1 ${withDeviation(top1, attempts)} % of ${report.data.testImages} test images ` +
        `(${pooling}, ${setting}; chance ${(100 * report.chance).toFixed(2)} %)`,
    )
  if (report.data.skipped > 0) note(`${report.data.skipped} files could not be read and were left out.`)
  print(`report: ${resolve(flags.out, 'report.md')}`)
}
