/** Options of commands that read images: limits, and what to do with damaged files. */
import { type Command, Option } from 'commander'
import type { ReadingLimits } from '../config/reading.ts'
import { corruptions } from '../prepare/decode/damage.ts'
import { pixels, positiveNumber, share } from './options.ts'

export type ReadingFlags = ReadingLimits

/** Whether help names the model's defaults or sherd's. */
interface Defaults {
  readonly ofModel: boolean
}

const byDefault = (value: string, { ofModel }: Defaults) =>
  `(default: ${value}${ofModel ? ', or as the model was trained' : ''})`

export const maxPixelsOption = (defaults: Defaults = { ofModel: true }): Option =>
  new Option('--max-pixels <n>', `leave out images of more pixels ${byDefault('100M', defaults)}`).argParser(
    pixels,
  )

export const addReadingOptions = (command: Command, defaults: Defaults = { ofModel: true }): Command =>
  command
    .addOption(
      new Option(
        '--max-skipped-share <x>',
        `stop when more of the files cannot be used; one always may ${byDefault('0.01', defaults)}`,
      ).argParser(share),
    )
    .addOption(maxPixelsOption(defaults))
    .addOption(
      new Option(
        '--corrupt <what>',
        `images with damaged data: leave out, take as decoded, or stop ${byDefault('skip', defaults)}`,
      ).choices(corruptions),
    )
    .addOption(
      new Option(
        '--file-timeout <seconds>',
        `leave out a file whose reading or decoding takes longer ${byDefault('30', defaults)}`,
      ).argParser(positiveNumber),
    )

/** The options that were given. */
export const readingOf = ({
  maxSkippedShare,
  maxPixels,
  corrupt,
  fileTimeout,
}: ReadingFlags): ReadingLimits => ({ maxSkippedShare, maxPixels, corrupt, fileTimeout })

/** The same, as `--set` assignments. */
export const readingAssignments = (flags: ReadingFlags): string[] =>
  Object.entries(readingOf(flags)).flatMap(([key, value]) =>
    value === undefined ? [] : [`data.${key}=${value}`],
  )
