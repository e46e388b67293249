/** `sherd bench step`: whole training steps, and their share of the peak rate of matrix products. */
import type { Command } from 'commander'
import { pause } from '../../errors.ts'
import { describeCommand } from '../help.ts'
import { precisionOption, wholeNumber } from '../options.ts'
import { print, printJson } from '../output.ts'
import { counting } from '../progress.ts'
import { hearSecondSignal, stopSignal } from '../signals.ts'
import { addConfigOptions, type ConfigFlags, configOf } from './bench-config.ts'

interface Flags extends ConfigFlags {
  steps: number
}

export function addBenchStep(bench: Command): void {
  addConfigOptions(
    describeCommand(bench.command('step'), {
      page: 'bench.md',
      examples: [
        'sherd bench step mae-small-64  # ten steps of a preset',
        'sherd bench step mae-small-64 --precision bf16 --set train.batchSize=64  # in bfloat16, with another batch',
      ],
    }),
  )
    .description('time whole training steps (forward, backward, optimizer) on random images')
    .option('--steps <n>', 'steps to time', wholeNumber(1), 10)
    .addOption(precisionOption())
    .action(async (preset: string, flags: Flags) => {
      const config = await configOf(preset, flags)
      const { openStepBench } = await import('../../bench/step-bench.ts')
      const { describeMachine } = await import('../../machine/describe.ts')
      const { measurePeak } = await import('../../machine/gemm.ts')
      const bench = await openStepBench(config)
      const signal = stopSignal('stopping after this step')
      await hearSecondSignal()
      const show = counting('timing', 'steps')
      const seconds: number[] = []
      let peakBytes = 0
      for (let i = -bench.cold; i < flags.steps; i++) {
        await pause(signal, { done: Math.max(0, i), of: flags.steps, unit: 'steps', continues: false })
        const one = bench.run(1)
        if (i >= 0) seconds.push(...one.seconds)
        peakBytes = one.peakBytes
        show(i + 1 + bench.cold, flags.steps + bench.cold)
      }
      const median = [...seconds].sort((a, b) => a - b)[seconds.length >> 1]!
      const { device, precision, threads } = bench.machine
      const tflops = (bench.flopsPerImage * bench.batch) / median / 1e12
      const peakTflops = measurePeak(precision, device) / 1000
      const result = {
        kind: 'bench-step' as const,
        preset,
        ...bench.machine,
        batch: bench.batch,
        medianStepSeconds: median,
        imagesPerSecond: bench.batch / median,
        modelFlopsPerImage: bench.flopsPerImage,
        modelTflops: tflops,
        gemmPeakTflops: peakTflops,
        shareOfPeak: tflops / peakTflops,
        peakBytes,
        seconds,
        measuredOn: describeMachine(),
      }
      if (flags.json) return printJson(result)
      print(
        `${preset}: ${(1000 * median).toFixed(1)} ms a step of ${bench.batch} images, ${result.imagesPerSecond.toFixed(1)} images/s (median of ${seconds.length}); ` +
          `peak ${device === 'cpu' ? 'memory' : 'memory of the process, without the device,'} ${(peakBytes / 1e6).toFixed(0)} MB; ${device}, ${precision}, ${threads} threads`,
      )
      const why = bench.whyNotRecorded()
      if (device !== 'cpu' && why !== null)
        print(`taken operator by operator, not as a recorded graph: ${why}`)
      print(
        `${tflops.toPrecision(3)} TFLOP/s of the model, ${(100 * result.shareOfPeak).toFixed(0)} % of the ${peakTflops.toPrecision(3)} TFLOP/s that matrix products alone reach`,
      )
    })
}
