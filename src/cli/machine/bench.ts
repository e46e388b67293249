/** `sherd bench`: speed of training on this machine, of its loader and of its matrix products. */
import type { Command } from 'commander'
import { addBenchData } from './bench-data.ts'
import { addBenchGemm } from './bench-gemm.ts'
import { addBenchStep } from './bench-step.ts'

export function addBench(root: Command): void {
  const bench = root.command('bench').description('measure this machine')
  for (const add of [addBenchStep, addBenchData, addBenchGemm]) add(bench)
}
