/** `sherd evaluate finetune`, `partial` and `scratch`. */
import { type Command, Option } from 'commander'
import type { Shots } from '../../evaluate/labelled-features.ts'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import { encoderOf } from '../encoder-options.ts'
import { describeCommand } from '../help.ts'
import { notNegative, positiveNumber, share, wholeNumber } from '../options.ts'
import { duration, note } from '../output.ts'
import { endProgress, progress } from '../progress.ts'
import { hearSecondSignal, stopSignal, stopStatus } from '../signals.ts'
import {
  type EvaluateFlags,
  imagesOf,
  type SaveFlags,
  seedsOf,
  shots,
  withClasses,
  withSave,
} from './evaluate-options.ts'
import { finish } from './evaluate-report.ts'

interface Flags extends EvaluateFlags, SaveFlags {
  readonly epochs?: number
  readonly batch?: number
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
  withSave(
    withClasses(command, undefined, "what the model's train.precision says"),
    'the encoder with its head (averaged weights with --ema)',
  )
    .option('--epochs <n>', 'passes over the training images (default: 100)', wholeNumber(1))
    .option('--batch <n>', 'images of a micro-batch (default: 128)', wholeNumber(2))
    .option('--accumulate <n>', 'micro-batches of a step (default: 1)', wholeNumber(1))
    .option('--rate <r>', 'base learning rate, for 256 images (default: 0.0005)', positiveNumber)
    .option('--min-rate <r>', 'where the cosine ends (default: 0.000001)', notNegative)
    .option('--warm-up <epochs>', 'epochs of warm-up (default: 5, or a quarter of --epochs)', notNegative)
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

const examples: Record<TuningName, readonly string[]> = {
  finetune: [
    'sherd evaluate finetune --run runs/photos --data labelled --out reports/tuned --seeds 1 --save classifier.safetensors  # one classifier, for "sherd classify"',
    'sherd evaluate finetune --run runs/photos --data labelled --out reports/ten --shots 10  # from ten images of each class',
  ],
  partial: [
    'sherd evaluate partial --run runs/photos --data labelled --out reports/partial --blocks 2  # the last two blocks',
  ],
  scratch: [
    'sherd evaluate scratch --run runs/photos --data labelled --out reports/scratch  # the same model, without what it has learned',
  ],
}

export function addFinetune(evaluate: Command): void {
  const tune = (name: TuningName, description: string) =>
    withFinetuning(
      describeCommand(evaluate.command(name), {
        page: 'evaluate.md#fine-tuning',
        examples: examples[name],
      }).description(description),
    ).action((flags: Flags) => run(name, flags))
  tune('finetune', 'train the whole encoder with a head on it')
  tune('partial', 'train the last blocks with a head on them').option(
    '--blocks <n>',
    'how many of the last blocks learn; 0 is the head alone (default: 1)',
    wholeNumber(0),
  )
  tune('scratch', 'the same from random weights: the baseline that pretraining has to beat')
}

async function run(protocol: TuningName, flags: Flags): Promise<void> {
  letWaitingThreadsSleep()
  const { finetune, finetuneDefaults } = await import('../../evaluate/finetune.ts')
  const { openReport } = await import('../../evaluate/evaluation-report.ts')
  const data = await imagesOf(flags)
  const encoder = await encoderOf(flags, data.train, ['train.precision', 'train.kernels', 'train.recompute'])
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
  hearSecondSignal()
  const report = await finetune({
    ...{ encoder, data, fromScratch: protocol === 'scratch', signal },
    ...(flags.save !== undefined && { save: flags.save }),
    precision: flags.precision,
    seeds: seedsOf(flags),
    settings: {
      ...finetuneDefaults,
      ...(protocol === 'scratch' && { layerDecay: 1 }),
      ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    },
    onNote: note,
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
