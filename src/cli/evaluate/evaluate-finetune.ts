/** `sherd evaluate finetune`, `partial` and `scratch`. */
import { join } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Report } from '../../evaluate/evaluate.ts'
import type { FinetuneOptions, Validation } from '../../evaluate/finetune-settings.ts'
import type { Shots } from '../../evaluate/labelled-features.ts'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import type { TrainedHeadName } from '../../model/classifier.ts'
import { type CacheKind, caches } from '../../prepare/cache/caches.ts'
import type { OpenedEncoder } from '../../weights/open-encoder.ts'
import { type AdaptFlags, adaptationOf, addAdaptOptions } from '../adapt-options.ts'
import { requestOf } from '../encoder-options.ts'
import { describeCommand } from '../help.ts'
import { sayHowRead } from '../how-read.ts'
import { notNegative, positiveNumber, share, wholeNumber } from '../options.ts'
import { noteThere } from '../out-options.ts'
import { duration, note, threeDigits } from '../output.ts'
import { showProgress } from '../progress.ts'
import { hearSecondSignal, stopSignal } from '../signals.ts'
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

interface Flags extends EvaluateFlags, SaveFlags, AdaptFlags {
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
  readonly head?: TrainedHeadName
  readonly ema?: number
  readonly blocks?: number
  readonly validation?: Validation
  readonly cache?: CacheKind
}

// The table itself would load the engine's operators for --help.
const headNames = Object.keys({
  ...{ mean: true, 'normed-mean': true, cls: true, 'cls+mean': true, pooled: true },
} satisfies Record<TrainedHeadName, true>)

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
    .addOption(
      new Option(
        '--head <on>',
        "what the head reads: the patches' mean through a norm of its own (mean) or behind the final norm, cls, both, the model's own output (default: mean)",
      ).choices(headNames),
    )
    .option('--shots <n>', 'learn from so many images of each class, such as 50 or 10% (default: all)', shots)
    .option(
      '--validation <dir|share>',
      'images that choose the epoch: a folder, or a share of the training images such as 10%, which are then not learned from (default: val/ beside train/ and test/, else none: the last epoch counts)',
      validationOf,
    )
    .addOption(
      new Option(
        '--cache <where>',
        'decoded images stay in memory; device: those that are learned from on the device, without RandAugment (default: none)',
      ).choices(caches),
    )
    .option('--ema <d>', 'score averaged weights, too: the share of the old that stays, such as 0.999', share)

type TuningName = 'finetune' | 'partial' | 'scratch'

const examples: Record<TuningName, readonly string[]> = {
  finetune: [
    'sherd evaluate finetune --run runs/photos --data labelled --out reports/tuned --seeds 1 --save classifier.safetensors  # one classifier, for "sherd classify"',
    'sherd evaluate finetune --run runs/photos --data labelled --out reports/ten --shots 10  # from ten images of each class',
    'sherd evaluate finetune --model dinov2-small --data labelled --out reports/lora --lora-rank 8 --save adapters/mine  # a few megabytes, beside weights that stay',
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
        options: 'Training',
        page: 'evaluate.md#fine-tuning',
        examples: examples[name],
      }).description(description),
    ).action((flags: Flags) => run(name, flags))
  addAdaptOptions(
    tune('finetune', 'train the whole encoder with a head on it, or little of it'),
    '--save FOLDER writes them alone',
  )
  tune('partial', 'train the last blocks with a head on them').option(
    '--blocks <n>',
    'how many of the last blocks learn; 0 is the head alone (default: 1)',
    wholeNumber(0),
  )
  tune('scratch', 'the same from random weights: the baseline that pretraining has to beat')
}

/** Keys of a preset that fine-tuning reads besides those of the model. */
const alsoRead = ['train.precision', 'train.kernels', 'train.recompute', 'train.record']

async function run(protocol: TuningName, flags: Flags): Promise<void> {
  letWaitingThreadsSleep()
  const { finetune } = await import('../../evaluate/finetune.ts')
  const { adaptedDefaults, finetuneDefaults } = await import('../../evaluate/finetune-settings.ts')
  const { writeReport } = await import('../../evaluate/evaluation-report.ts')
  const { claimReports } = await import('../../evaluate/claim-report.ts')
  const { openEncoder } = await import('../../weights/open-encoder.ts')
  const adapt = adaptationOf(flags)
  const data = await imagesOf(flags)
  const given = {
    ...{ epochs: flags.epochs, batchSize: flags.batch, accumulate: flags.accumulate },
    ...{ baseLearningRate: flags.rate, minLearningRate: flags.minRate, warmupEpochs: flags.warmUp },
    ...{ weightDecay: flags.weightDecay, layerDecay: flags.layerDecay, dropPath: flags.dropPath },
    ...{ mixup: flags.mixup, cutmix: flags.cutmix, smoothing: flags.smoothing },
    ...{ head: flags.head, ema: flags.ema, erasing: flags.erasing, shots: flags.shots },
    randAugment: flags.randAugment === 0 ? null : flags.randAugment,
    blocks: protocol === 'partial' ? (flags.blocks ?? 1) : undefined,
    adapt,
  }
  const settings = {
    ...finetuneDefaults,
    ...(protocol === 'scratch' && { layerDecay: 1 }),
    ...(adapt && adaptedDefaults),
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  }
  const { validation, out, overwrite } = flags
  const save = adapt && flags.save !== undefined ? adapterFileOf(flags.save) : flags.save
  const seeds = seedsOf(flags)
  const request = await requestOf(flags, data.train, alsoRead)
  const { reports, wasThere } = await claimReports<Report>(
    {
      ...{ out, overwrite, save, command: `evaluate ${protocol}`, encoder: request },
      data: { ...data, validation: folderOf(validation) ?? data.validation ?? null },
      options: { settings, seeds, validation },
    },
    async ({ dir, state, fileFor }) => {
      if (state === 'continued') note(`continuing what was begun in ${dir}`)
      else if (!validation && !data.validation)
        note(
          'The result will be that of the last epoch; --validation 10% holds images out and keeps the best one.',
        )
      const encoder = await openEncoder(request)
      sayHowRead(encoder)
      if (save !== undefined) await sayLayouts(encoder, settings.head)
      const signal = stopSignal('finishing this step and keeping what is done')
      await hearSecondSignal()
      const report = await finetune({
        ...{ encoder, data, fromScratch: protocol === 'scratch', signal, validation, settings, seeds },
        ...(save !== undefined && { save }),
        ...{ precision: flags.precision, cache: flags.cache, work: join(dir, 'work'), onNote: note },
        ...showingSteps(seeds, settings.epochs),
      })
      await writeReport(fileFor(), report)
      return [report]
    },
  )
  noteThere(out, { wasThere })
  await printReport(reports[0]!, flags)
}

/** Where another program will have no class for what is saved, before hours are spent on it. */
async function sayLayouts(encoder: OpenedEncoder, head: TrainedHeadName): Promise<void> {
  const { classifierLayouts } = await import('../../export/classifier-layouts.ts')
  const lacking = classifierLayouts(encoder, head).filter(({ name }) => name === null)
  for (const { program, others } of lacking) {
    const instead = others.map((other) => `--head ${other.head} would be ${other.name}`)
    note(
      `${program} has no classifier with a head on ${head} of this encoder${instead.length > 0 ? ` (${instead.join(', ')})` : ''}; "sherd export onnx" takes it.`,
    )
  }
}

/** A name that does not end in .safetensors is that of a folder with the adapter alone, as PEFT has it. */
const adapterFileOf = (save: string) =>
  save.endsWith('.safetensors') ? save : join(save, 'adapter_model.safetensors')

const folderOf = (validation: Validation | undefined) =>
  validation && 'dir' in validation ? validation.dir : undefined

/** A share such as `10%`, or a folder. */
function validationOf(text: string): Validation {
  if (!text.trim().endsWith('%')) return { dir: text }
  const value = shots(text)
  if (!('share' in value) || value.share >= 1)
    throw new InvalidArgumentError('Expected a folder, or less than all of the training images, such as 10%.')
  return value
}

const RECENT = 20 // steps over which the rate is taken

function showingSteps(
  seeds: readonly number[],
  epochs: number,
): Required<Pick<FinetuneOptions, 'onStep' | 'onValidated'>> {
  let recent: number[] = []
  let looked = ''
  return {
    onValidated: ({ epoch, top1, isBest }) => {
      looked = `validation ${(100 * top1).toFixed(1)} %${isBest ? `, best in epoch ${epoch}` : ''}`
    },
    onStep: ({ step, epoch, loss, learningRate, imagesPerSecond, stepSeconds }, seed, total) => {
      recent = [...recent, stepSeconds].slice(-RECENT)
      const mean = recent.reduce((a, b) => a + b, 0) / recent.length
      const place = seeds.indexOf(seed)
      const left = (seeds.length - place) * total - step
      const whole = Math.min(epochs, Math.max(1, Math.ceil(epoch - 1e-9)))
      showProgress(
        [
          `${duration(left * mean)} left`,
          `${threeDigits((imagesPerSecond * stepSeconds) / mean)} images/s`,
          { text: `epoch ${whole} of ${epochs}`, short: `${whole}/${epochs}` },
          ...(seeds.length > 1
            ? [{ text: `seed ${place + 1} of ${seeds.length}`, short: `seed ${seed}` }]
            : []),
          `loss ${loss.toFixed(3)}`,
          { text: `learning rate ${learningRate.toExponential(1)}`, short: learningRate.toExponential(1) },
          ...(looked ? [looked] : []),
        ],
        (place * total + step) / (seeds.length * total),
      )
      if (step === total) looked = ''
    },
  }
}
