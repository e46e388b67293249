/** `sherd bench`: how fast training is on this machine. */
import { type Command, Option } from 'commander'
import { collect, wholeNumber } from './options.ts'
import { print, printJson } from './output.ts'

interface Flags {
  steps: number
  set: string[]
  device: 'auto' | 'cpu' | 'cuda'
  precision: 'auto' | 'fp32' | 'bf16'
  json?: boolean
}

export function addBench(root: Command): void {
  root
    .command('bench')
    .description('measure this machine')
    .command('step')
    .description('time whole training steps (forward, backward, optimizer) on random images')
    .argument('[preset]', 'what to train', 'mae-tiny-cifar10')
    .option('--steps <n>', 'steps to time', wholeNumber(1), 10)
    .option('--set <key=value>', 'override one configuration key; may be repeated', collect, [])
    .addOption(
      new Option('--device <device>', 'where to train').choices(['auto', 'cpu', 'cuda']).default('auto'),
    )
    .addOption(
      new Option('--precision <type>', 'type of matrix products')
        .choices(['auto', 'fp32', 'bf16'])
        .default('auto'),
    )
    .option('--json', 'print the result as JSON')
    .action(async (preset: string, flags: Flags) => {
      const { withOverride } = await import('../config/overrides.ts')
      const { presetOf } = await import('../config/presets.ts')
      const { resolveConfig } = await import('../config/resolve.ts')
      const { openStepBench } = await import('../run/step-bench.ts')
      const machine = [`train.device=${flags.device}`, `train.precision=${flags.precision}`]
      const bench = openStepBench(
        resolveConfig([...machine, ...flags.set].reduce(withOverride, presetOf(preset).config)),
      )
      bench.run(2)
      const { seconds, peakBytes } = bench.run(flags.steps)
      const median = [...seconds].sort((a, b) => a - b)[seconds.length >> 1]!
      const result = {
        preset,
        ...bench.machine,
        batch: bench.batch,
        medianStepSeconds: median,
        imagesPerSecond: bench.batch / median,
        peakBytes,
        seconds,
      }
      if (flags.json) return printJson(result)
      print(
        `${preset}: ${(1000 * median).toFixed(1)} ms a step of ${bench.batch} images, ${result.imagesPerSecond.toFixed(1)} images/s (median of ${seconds.length}); ` +
          `peak memory ${(peakBytes / 1e6).toFixed(0)} MB; ${bench.machine.device}, ${bench.machine.precision}, ${bench.machine.threads} threads`,
      )
    })
}
