/** The machine's hardware: cores, CPU, NVIDIA GPUs. */
import { spawnSync } from 'node:child_process'
import { availableParallelism, cpus } from 'node:os'

export { cpuBfloat16 } from '../tensor/cpu.ts'

export const coreCount = (): number => availableParallelism()

export const cpuName = (): string => cpus()[0]?.model.trim() ?? 'unknown CPU'

export interface Gpu {
  readonly name: string
  /** Compute capability, such as 9 for Hopper. */
  readonly capability: number
  readonly memory: string
}

/** The NVIDIA GPUs that the driver reports; empty without a driver. */
export function gpus(): readonly Gpu[] {
  const asked = spawnSync(
    'nvidia-smi',
    ['--query-gpu=name,compute_cap,memory.total', '--format=csv,noheader'],
    { encoding: 'utf8', timeout: 10_000 },
  )
  if (asked.error || asked.status !== 0) return []
  return asked.stdout
    .trim()
    .split('\n')
    .map((line) => line.split(',').map((part) => part.trim()))
    .map(([name = '', capability = '', memory = '']) => ({ name, capability: Number(capability), memory }))
}
