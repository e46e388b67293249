/** `sherd bench`: speed of training on this machine, of its loader and of its matrix products. */
import type { Command } from 'commander'
import { describeCommand } from '../help.ts'
import { addBenchData } from './bench-data.ts'
import { addBenchGemm } from './bench-gemm.ts'
import { addBenchStep } from './bench-step.ts'

export function addBench(root: Command): void {
  const bench = describeCommand(root.command('bench'), {
    group: 'Machine',
    page: 'bench.md',
    examples: [
      'sherd bench step mae-small-64  # training steps of a preset',
      'sherd bench data --data photos  # reading and decoding your images',
      'sherd bench gemm  # matrix products alone',
    ],
  }).description('measure this machine')
  for (const add of [addBenchStep, addBenchData, addBenchGemm]) add(bench)
}
