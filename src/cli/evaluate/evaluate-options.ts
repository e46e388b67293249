/** Options of every `sherd evaluate` command: encoder, images, seeds, folder of the report. */
import { type Command, InvalidArgumentError } from 'commander'
import { SherdError } from '../../errors.ts'
import type { EvaluationData } from '../../evaluate/evaluation-data.ts'
import type { Shots } from '../../evaluate/labelled-features.ts'
import { addEncoderOptions, type EncoderFlags } from '../encoder-options.ts'
import { wholeNumber } from '../options.ts'
import { overwriteOption } from '../out-options.ts'

export interface SaveFlags {
  readonly save?: string
}

export const withSave = (command: Command, what: string): Command =>
  command.option('--save <file>', `write ${what} to a .safetensors file: that of the first seed`)

export interface EvaluateFlags extends EncoderFlags {
  readonly data?: string
  readonly train?: string
  readonly test?: string
  readonly out: string
  readonly seeds: number
  readonly overwrite?: boolean
  readonly json?: boolean
}

/** `1%` is a share of each class, `5` a number of its images. */
export function shots(text: string): Shots {
  const share = text.match(/^(\d+(?:\.\d+)?)\s*%$/)?.[1]
  if (share === undefined) return { perClass: wholeNumber(1)(text) }
  if (!(Number(share) > 0 && Number(share) <= 100))
    throw new InvalidArgumentError('Expected a share from 0 to 100 %.')
  return { share: Number(share) / 100 }
}

export const withImages = (
  command: Command,
  { data, out, precision }: { data: string; out: string; precision?: string | undefined },
): Command =>
  addEncoderOptions(command, precision === undefined ? {} : { precision })
    .option('--data <dir>', data)
    .option('--train <dir>', 'training images alone')
    .option('--test <dir>', 'test images, of the same classes')
    .requiredOption('--out <dir>', out)
    .option('--seeds <n>', 'how many attempts, seeds 0, 1, …', wholeNumber(1), 3)
    .addOption(overwriteOption())
    .option('--json', 'print the report as JSON')

export const withClasses = (
  command: Command,
  out = 'folder for report.json, report.md and confusion.png',
  precision?: string,
): Command =>
  withImages(command, {
    precision,
    data: 'a folder for each class, in train/ and test/ (or val/); without them a fifth of each class tests',
    out,
  })

/** 0, 1, … */
export const seedsOf = ({ seeds }: EvaluateFlags): number[] =>
  Array.from({ length: seeds }, (_, seed) => seed)

/** From --data, --train and --test. */
export async function imagesOf({
  data,
  train,
  test,
}: Pick<EvaluateFlags, 'data' | 'train' | 'test'>): Promise<EvaluationData> {
  const { findSplit } = await import('../../evaluate/evaluation-data.ts')
  if ((data === undefined) === (train === undefined) || (train === undefined && test !== undefined))
    throw new SherdError(
      'USAGE',
      'Expected images: either --data DIR, or --train DIR and, where there are any, --test DIR.',
    )
  return data === undefined ? { train: train!, test: test ?? null } : findSplit(data)
}
