/** Options of the commands that use a saved or exported head. */
import type { Command } from 'commander'
import type { EncoderFlags } from '../encoder-options.ts'
import { deviceOption, featurePrecisionOption } from '../options.ts'
import { overwriteOption } from '../out-options.ts'
import { addReadingOptions, type ReadingFlags } from '../reading-options.ts'

export interface PredictFlags extends ReadingFlags {
  readonly model: string
  readonly device: EncoderFlags['device']
  readonly precision?: EncoderFlags['precision']
  readonly out: string
  readonly overwrite?: boolean
  readonly json?: boolean
}

/** Call it after the command's own options, so that help lists these last. */
export const addPredictOptions = (command: Command): Command =>
  addReadingOptions(
    command
      .addOption(deviceOption())
      .addOption(featurePrecisionOption())
      .addOption(overwriteOption())
      .option('--json', 'print the result as JSON'),
  )
