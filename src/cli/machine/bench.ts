/** `sherd bench`: how fast training is on this machine, and each of the two things that it waits for. */
import type { Command } from 'commander'
import { addBenchData } from './bench-data.ts'
import { addBenchGemm } from './bench-gemm.ts'
import { addBenchStep } from './bench-step.ts'

export function addBench(root: Command): void {
  const bench = root.command('bench').description('measure this machine')
  for (const add of [addBenchStep, addBenchData, addBenchGemm]) add(bench)
}
