/** `sherd evaluate segment`: segmentation heads on frozen features. */
import { join, resolve } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import { type SegmentationHead, segmentationHeads } from '../../model/segmentation-heads.ts'
import { encoderOf, showImages } from '../encoder-options.ts'
import { describeCommand } from '../help.ts'
import { notNegative, positiveNumber, wholeNumber } from '../options.ts'
import { note, print, printJson, table } from '../output.ts'
import { endProgress, progress } from '../progress.ts'
import {
  type EvaluateFlags,
  imagesOf,
  listOf,
  type SaveFlags,
  seedsOf,
  withImages,
  withSave,
} from './evaluate-options.ts'

interface Flags extends EvaluateFlags, SaveFlags {
  readonly heads?: SegmentationHead[]
  readonly epochs?: number
  readonly batch?: number
  readonly rate?: number
  readonly weightDecay?: number
  readonly ignore: number
}

const names = Object.keys(segmentationHeads) as SegmentationHead[]

function headName(text: string): SegmentationHead {
  const found = names.find((name) => name === text)
  if (!found) throw new InvalidArgumentError(`Expected ${names.join(' or ')}.`)
  return found
}

const NONE = -1
const ignored = (text: string): number => (text === 'none' ? NONE : wholeNumber(0)(text))

export function addSegment(evaluate: Command): void {
  withSave(
    withImages(
      describeCommand(evaluate.command('segment'), {
        page: 'evaluate.md#segmentation',
        examples: [
          'sherd evaluate segment --run runs/photos --data pairs --out reports/masks  # images/ and masks/ of the same names',
          'sherd evaluate segment --run runs/photos --data pairs --out reports/masks --heads linear --save segmenter.safetensors  # also keep the segmenter',
        ],
      }).description(
        'say the class of every pixel: a linear and a small convolutional head on frozen features',
      ),
      {
        data: 'images/ and masks/ (PNG of class numbers, same names), or both in train/ and test/ (or val/)',
        out: 'folder for report.json, report.md and segmentation.png',
      },
    ),
    'the encoder with its head (name one with --heads)',
  )
    .option('--heads <list>', `which heads (default: ${names.join(',')})`, listOf(headName))
    .option('--epochs <n>', 'passes over the training images (default: 40)', wholeNumber(1))
    .option('--batch <n>', 'images of a batch, at most (default: 16)', wholeNumber(1))
    .option('--rate <r>', 'learning rate of AdamW (default: 0.001)', positiveNumber)
    .option('--weight-decay <w>', 'of matrices (default: 0.0001)', notNegative)
    .option('--ignore <n>', 'the number in a mask that is no class, or "none"', ignored, 255)
    .action(run)
}

async function run(flags: Flags): Promise<void> {
  letWaitingThreadsSleep()
  const { segment } = await import('../../evaluate/evaluate-segmentation.ts')
  const { segmentationDefaults } = await import('../../evaluate/segmentation.ts')
  const { openReport } = await import('../../evaluate/evaluation-report.ts')
  const { writeSegmentation } = await import('../../evaluate/segmentation-report.ts')
  const data = await imagesOf(flags)
  const encoder = await encoderOf(flags, join(data.train, 'images'))
  openReport(flags.out)
  const epochs = flags.epochs ?? segmentationDefaults.epochs
  const { report, picture } = await segment({
    ...{ encoder, data, heads: flags.heads ?? names, seeds: seedsOf(flags), ignored: flags.ignore },
    ...(flags.save !== undefined && { save: flags.save }),
    settings: {
      epochs,
      batchSize: flags.batch ?? segmentationDefaults.batchSize,
      learningRate: flags.rate ?? segmentationDefaults.learningRate,
      weightDecay: flags.weightDecay ?? segmentationDefaults.weightDecay,
    },
    onProgress: showImages(),
    onEpoch: ({ head, seed, epoch, loss }) =>
      progress(`${head} head, seed ${seed}, epoch ${epoch + 1}/${epochs}, loss ${loss.toFixed(4)}`),
  })
  endProgress()
  await writeSegmentation(flags.out, report, picture)
  if (flags.json) return printJson({ kind: 'segmentation', ...report })
  const { withDeviation } = await import('../../evaluate/markdown.ts')
  const shown = (value: Parameters<typeof withDeviation>[0]) => withDeviation(value, report.seeds.length)
  print(
    table(
      [
        ['head', 'mIoU, %', 'pixel accuracy, %', 'mean accuracy, %'],
        ...report.rows.map(({ head, meanIou, pixelAccuracy, meanAccuracy }) => [
          ...[head, shown(meanIou), shown(pixelAccuracy), shown(meanAccuracy)],
        ]),
      ],
      [1, 2, 3],
    ),
  )
  print(
    `segment: ${report.classes.length} classes, ${report.data.testImages} test images; the commonest class everywhere: ` +
      `mIoU ${(100 * report.chance.meanIou).toFixed(2)} %, pixels ${(100 * report.chance.pixelAccuracy).toFixed(2)} %; features in ${report.model.precision}`,
  )
  if (report.data.skipped > 0) note(`${report.data.skipped} files could not be used and were left out.`)
  print(`report: ${resolve(flags.out, 'report.md')}`)
  if (flags.save !== undefined) print(`segmenter of seed ${report.seeds[0]}: ${resolve(flags.save)}`)
}
