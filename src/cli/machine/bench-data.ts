/** `sherd bench data`: throughput of the loader beside that of the steps. */
import type { Command } from 'commander'
import type { DataBench } from '../../bench/data-bench.ts'
import { describeCommand } from '../help.ts'
import { positiveNumber, wholeNumber } from '../options.ts'
import { print, printJson } from '../output.ts'
import { counting } from '../progress.ts'
import { addReadingOptions, type ReadingFlags, readingAssignments } from '../reading-options.ts'
import { stopSignal } from '../signals.ts'
import { addConfigOptions, type ConfigFlags, configOf } from './bench-config.ts'

interface Flags extends ConfigFlags, ReadingFlags {
  data: string
  batches: number
  need?: number
}

export function addBenchData(bench: Command): void {
  const command = addConfigOptions(
    describeCommand(bench.command('data'), {
      page: 'bench.md',
      examples: [
        'sherd bench data mae-small-64 --data photos  # images a second',
        'sherd bench data mae-small-64 --data photos --need 400  # is it enough for 400 a second?',
      ],
    }),
  )
    .description('time the loader of a run: reading, decoding, cropping, batches')
    .requiredOption('--data <dir>', 'images, as for "sherd pretrain"')
    .option('--batches <n>', 'batches to time', wholeNumber(1), 20)
    .option('--need <images/s>', 'what training takes, to compare with', positiveNumber)
    .action(async (preset: string, flags: Flags) => {
      const set = [...readingAssignments(flags), ...flags.set]
      const config = await configOf(preset, { ...flags, set })
      const { benchData } = await import('../../bench/data-bench.ts')
      const { describeMachine } = await import('../../machine/describe.ts')
      const result = await benchData({
        ...{ config, data: flags.data, batches: flags.batches },
        ...{ onProgress: counting('timing', 'batches'), signal: stopSignal('stopping after this batch') },
      })
      const need =
        flags.need === undefined
          ? null
          : { imagesPerSecond: flags.need, isEnough: result.imagesPerSecond >= flags.need }
      if (flags.json)
        return printJson({ kind: 'bench-data', preset, ...result, need, measuredOn: describeMachine() })
      describe(preset, result)
      if (need) print(comparison(result, need.imagesPerSecond))
    })
  addReadingOptions(command, { ofModel: false })
}

function describe(preset: string, result: DataBench): void {
  const { imagesPerSecond, imagesPerSecondPerThread, decodeThreads, batch, batchSeconds } = result
  const milliseconds = (seconds: number) => `${(1000 * seconds).toFixed(1)} ms`
  const timed = batchSeconds.all.length
  print(
    `${preset}: ${imagesPerSecond.toFixed(0)} images/s, ${imagesPerSecondPerThread.toFixed(0)} for each of ${decodeThreads} decoding ${decodeThreads === 1 ? 'thread' : 'threads'}`,
  )
  print(
    `a batch of ${batch}: ${milliseconds(batchSeconds.p50)} (p50), ${milliseconds(batchSeconds.p95)} (p95), ${timed} batches`,
  )
  if (result.bytesRead !== null) {
    const bytes = result.bytesRead
    print(`read: ${(bytes / 1e6).toFixed(1)} MB, ${(bytes / 1000 / (batch * timed)).toFixed(1)} kB an image`)
  }
  if (result.skipped > 0) print(`skipped: ${result.skipped} files`)
}

function comparison(result: DataBench, needed: number): string {
  const ratio = result.imagesPerSecond / needed
  if (ratio >= 1)
    return `enough: ${ratio.toFixed(1)} × the ${needed} images/s that training takes (where decoding has its cores to itself)`
  const workers = Math.ceil(needed / result.imagesPerSecondPerThread)
  return `too slow: training takes ${needed} images/s, so it would wait ${(100 * (1 - ratio)).toFixed(0)} % of the time; about ${workers} decoding threads are needed (--set data.workers=${workers})`
}
