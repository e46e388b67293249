/** Options that the benchmarks share: model and machine. */
import type { Command } from 'commander'
import type { Config } from '../../config/schema.ts'
import type { Reading } from '../../config/useless.ts'
import { deviceOption, setOption } from '../options.ts'

export interface ConfigFlags {
  readonly set: string[]
  readonly device: 'auto' | 'cpu' | 'cuda'
  readonly precision?: 'auto' | 'fp32' | 'bf16'
  readonly json?: boolean
}

export const addConfigOptions = (command: Command): Command =>
  command
    .argument('[preset]', 'what to train', 'mae-tiny-cifar10')
    .addOption(setOption('override one configuration key; may be repeated'))
    .addOption(deviceOption())
    .option('--json', 'print the result as JSON')

/** A preset with `--set` applied; `reading`: the keys that the command reads, where these are not all. */
export async function configOf(
  preset: string,
  { set, device, precision }: ConfigFlags,
  reading?: Reading,
): Promise<Config> {
  const { expectUseful } = await import('../../config/useless.ts')
  const { withOverride } = await import('../../config/overrides.ts')
  const { presetOf } = await import('../../config/presets.ts')
  const { resolveConfig } = await import('../../config/resolve.ts')
  const machine = [`train.device=${device}`, `train.precision=${precision ?? 'auto'}`]
  const config = resolveConfig([...machine, ...set].reduce(withOverride, presetOf(preset).config))
  expectUseful(config, set, reading)
  return config
}
