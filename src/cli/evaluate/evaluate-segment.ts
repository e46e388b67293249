/** `sherd evaluate segment`: segmentation heads on frozen features. */
import { join, resolve } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import type { SegmentationReport } from '../../evaluate/evaluate-segmentation.ts'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import type { SegmentationHead } from '../../model/segmentation-heads.ts'
import { requestOf, showImages } from '../encoder-options.ts'
import { describeCommand } from '../help.ts'
import { sayHowRead } from '../how-read.ts'
import { listOf, notNegative, positiveNumber, wholeNumber } from '../options.ts'
import { noteThere } from '../out-options.ts'
import { note, print, printJson, table } from '../output.ts'
import { counting, endProgress } from '../progress.ts'
import { STOPPING, stopSignal } from '../signals.ts'
import {
  type EvaluateFlags,
  imagesOf,
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

// The table itself would load the engine's operators for --help.
const names = Object.keys({ linear: true, conv: true } satisfies Record<
  SegmentationHead,
  true
>) as SegmentationHead[]

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
        options: 'Training',
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
  const { claimReports } = await import('../../evaluate/claim-report.ts')
  const { writeSegmentation } = await import('../../evaluate/segmentation-report.ts')
  const { openEncoder } = await import('../../weights/open-encoder.ts')
  const data = await imagesOf(flags)
  const { out, overwrite, save, ignore, heads = names } = flags
  const seeds = seedsOf(flags)
  const settings = {
    epochs: flags.epochs ?? segmentationDefaults.epochs,
    batchSize: flags.batch ?? segmentationDefaults.batchSize,
    learningRate: flags.rate ?? segmentationDefaults.learningRate,
    weightDecay: flags.weightDecay ?? segmentationDefaults.weightDecay,
  }
  const request = await requestOf(flags, join(data.train, 'images'))
  const signal = stopSignal(STOPPING)
  const show = counting('training', 'heads')
  let about: readonly string[] = []
  const { reports, wasThere } = await claimReports<SegmentationReport>(
    {
      ...{ out, overwrite, save, data, encoder: request, command: 'evaluate segment' },
      options: { settings, heads, ignore, seeds },
    },
    async ({ state, dir, fileFor }) => {
      if (state === 'continued') note(`continuing what was begun in ${dir}`)
      const encoder = await openEncoder(request)
      sayHowRead(encoder)
      const { report, picture } = await segment({
        ...{ encoder, data, heads, seeds, settings, ignored: ignore, signal, work: join(dir, 'work') },
        ...(save !== undefined && { save }),
        onProgress: showImages(),
        onPiece: (done, of) => show(done, of, about),
        onEpoch: ({ head, seed, epoch, loss }) => {
          about = [
            `${head} head`,
            ...(seeds.length > 1 ? [`seed ${seed}`] : []),
            ...[`epoch ${epoch + 1} of ${settings.epochs}`, `loss ${loss.toFixed(3)}`],
          ]
        },
      })
      endProgress()
      await writeSegmentation(fileFor(), report, picture)
      return [report]
    },
  )
  noteThere(out, { wasThere })
  await printSegmentation(reports[0]!, flags)
}

async function printSegmentation(report: SegmentationReport, { json, out, save }: Flags): Promise<void> {
  if (json) return printJson({ kind: 'segmentation', ...report })
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
  print(`report: ${resolve(out, 'report.md')}`)
  if (save !== undefined) print(`segmenter of seed ${report.seeds[0]}: ${resolve(save)}`)
}
