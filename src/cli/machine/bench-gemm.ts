/** `sherd bench gemm`: rates of matrix products in the shapes of a model. */
import type { Command } from 'commander'
import type { GemmRow } from '../../bench/gemm-bench.ts'
import { describeCommand } from '../help.ts'
import { print, printJson, table } from '../output.ts'
import { counting } from '../progress.ts'
import { stopSignal } from '../signals.ts'
import { addConfigOptions, type ConfigFlags, configOf } from './bench-config.ts'

export function addBenchGemm(bench: Command): void {
  addConfigOptions(
    describeCommand(bench.command('gemm'), {
      page: 'bench.md',
      examples: ["sherd bench gemm mae-small-64  # those of a preset's training step"],
    }),
  )
    .description("time matrix products: large squares, and those of a preset's training step")
    .action(async (preset: string, flags: ConfigFlags) => {
      const config = await configOf(preset, flags)
      const { benchGemm } = await import('../../bench/gemm-bench.ts')
      const { describeMachine } = await import('../../machine/describe.ts')
      const signal = stopSignal('stopping after this product')
      const result = await benchGemm(config, { onProgress: counting('timing', 'products'), signal })
      if (flags.json)
        return printJson({ kind: 'bench-gemm', preset, ...result, measuredOn: describeMachine() })
      const line = ({ name, shape, float32, bfloat16 }: GemmRow) => [
        name,
        `${shape.batch > 1 ? `${shape.batch} × ` : ''}${shape.rows} × ${shape.inner} × ${shape.columns}`,
        float32.toFixed(0),
        bfloat16.toFixed(0),
      ]
      const { device, threads } = result.machine
      print(
        `GFLOP/s on ${device}, ${threads} threads; the shapes are those of ${preset}, batch ${config.train.batchSize}`,
      )
      print(
        table(
          [['product', 'rows × inner × columns', 'float32', 'bfloat16'], ...result.rows.map(line)],
          [1, 2, 3],
        ),
      )
      const { float32, bfloat16 } = result.peak
      print(`measured peak: ${float32.toFixed(0)} in float32, ${bfloat16.toFixed(0)} in bfloat16`)
    })
}
