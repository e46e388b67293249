/** Options that the benchmarks share: model and machine. */
import type { Command } from 'commander'
import type { Config } from '../../config/schema.ts'
import type { Reading } from '../../config/useless.ts'
import { configOption, deviceOption, setOption } from '../options.ts'
import { argumentOrOption } from '../spellings.ts'

export interface ConfigFlags {
  readonly set: string[]
  readonly config?: string | undefined
  readonly device: 'auto' | 'cpu' | 'cuda'
  readonly precision?: 'auto' | 'fp32' | 'bf16'
  readonly json?: boolean
}

export const addConfigOptions = (command: Command): Command =>
  argumentOrOption(command.argument('[preset]', 'what to train', 'mae-tiny-cifar10'), '--preset <name>')
    .addOption(configOption())
    .addOption(setOption('override one configuration key; may be repeated'))
    .addOption(deviceOption())
    .option('--json', 'print the result as JSON')

/** A preset with `--config` and `--set` applied; `reading`: the keys that the command reads, where these are not all. */
export async function configOf(
  preset: string | undefined,
  { set, config: file, device, precision }: ConfigFlags,
  reading?: Reading,
): Promise<Config> {
  const { expectUseful } = await import('../../config/useless.ts')
  const { presetOf } = await import('../../config/presets.ts')
  const { composed } = await import('../config-file.ts')
  const options = [`train.device=${device}`, `train.precision=${precision ?? 'auto'}`]
  const base = preset === undefined ? {} : presetOf(preset).config
  const config = composed({ base, file, options, set })
  expectUseful(config, set, reading)
  return config
}
