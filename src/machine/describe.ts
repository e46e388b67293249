/** Describes the machine of a benchmark. */
import { totalmem } from 'node:os'
import { engineBuild } from '../tensor/context.ts'
import { coreCount, cpuBfloat16, cpuName, gpus } from './hardware.ts'

export interface MachineDescription {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  /** The CPU's matrix unit for bfloat16. */
  readonly bfloat16: string | null
  /** The first NVIDIA GPU that LibTorch can use. */
  readonly gpu: string | null
  readonly libtorch: string
  readonly node: string
}

export function describeMachine(): MachineDescription {
  const { version, cudaDevices } = engineBuild()
  const [gpu] = gpus()
  return {
    cpu: cpuName(),
    cores: coreCount(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    bfloat16: cpuBfloat16(),
    gpu: cudaDevices === 0 ? null : gpu ? `${gpu.name}, ${gpu.memory}` : 'a CUDA device',
    libtorch: version,
    node: process.versions.node,
  }
}
