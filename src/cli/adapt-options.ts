/** The options of commands that adapt an encoder with few parameters: low-rank adapters, or biases alone. */
import { type Command, Option } from 'commander'
import { SherdError } from '../errors.ts'
import type { Adaptation } from '../model/adapt.ts'
import { positiveNumber, wholeNumber } from './options.ts'

export interface AdaptFlags {
  readonly loraRank?: number
  readonly loraAlpha?: number
  readonly loraTargets?: readonly string[]
  readonly bitfit?: boolean
}

/** `saved`: where the adapters go. */
export const addAdaptOptions = (command: Command, saved: string): Command =>
  command
    .addOption(
      new Option(
        '--lora-rank <r>',
        `keep the encoder as it is, and train low-rank adapters of its linear maps (LoRA), such as 8; ${saved}`,
      )
        .argParser(wholeNumber(0))
        .conflicts('bitfit'),
    )
    .option('--lora-alpha <a>', 'adapters count alpha / rank times (default: 16)', positiveNumber)
    .option(
      '--lora-targets <list>',
      'the maps that get them: qkv, proj, fc1, fc2 … (default: qkv,proj)',
      (text: string) => text.split(',').map((target) => target.trim()),
    )
    .option('--bitfit', 'train the biases of the encoder alone')

/** Throws `USAGE` for options of adapters that are not asked for. */
export function adaptationOf({
  loraRank: rank,
  loraAlpha,
  loraTargets,
  bitfit,
}: AdaptFlags): Adaptation | undefined {
  if (rank !== undefined)
    return { kind: 'lora', rank, alpha: loraAlpha ?? 16, targets: loraTargets ?? ['qkv', 'proj'] }
  const lost = loraAlpha !== undefined ? '--lora-alpha' : loraTargets && '--lora-targets'
  if (lost)
    throw new SherdError('USAGE', `${lost} is of low-rank adapters: give --lora-rank, such as 8, too.`)
  return bitfit ? { kind: 'bitfit' } : undefined
}
