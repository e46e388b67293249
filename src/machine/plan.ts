/** Chooses device, precision, and threads of LibTorch and of decoding. */
import { SherdError } from '../errors.ts'
import { engineBuild } from '../tensor/context.ts'
import type { Device } from '../tensor/tensor.ts'
import { coreCount, cpuBfloat16, gpus } from './hardware.ts'

export interface MachineRequest {
  readonly device: 'auto' | 'cpu' | 'cuda'
  readonly precision: 'auto' | 'fp32' | 'bf16'
  /** 0: choose. */
  readonly threads: number
  /** 0: choose. */
  readonly workers: number
}

/** Values of `--precision`. */
export type PrecisionName = 'fp32' | 'bf16'
export const precisionNames = { float32: 'fp32', bfloat16: 'bf16' } as const satisfies Record<
  MachinePlan['precision'],
  PrecisionName
>

export interface MachinePlan {
  readonly device: Device
  readonly precision: 'float32' | 'bfloat16'
  /** Per operator of LibTorch. */
  readonly threads: number
  /** Images decoded concurrently. */
  readonly decodeThreads: number
}

function chooseDevice(requested: MachineRequest['device']): Device {
  const { cudaBuild, cudaDevices, version } = engineBuild()
  if (requested === 'cuda' && cudaDevices === 0) {
    throw new SherdError(
      'VALUE',
      cudaBuild
        ? `Device "cuda" was asked for, but LibTorch ${version} sees no GPU: check nvidia-smi and the driver, or take --device cpu.`
        : `Device "cuda" was asked for, but this LibTorch ${version} has no CUDA back end. Point LIBTORCH at one that has, or set LIBTORCH_USE_PYTORCH=1 for the PyTorch of python3; or take --device cpu.`,
    )
  }
  return requested === 'cuda' || (requested === 'auto' && cudaDevices > 0) ? 'cuda' : 'cpu'
}

/** Whether the device has bfloat16 matrix units: by CPU flags, or compute capability ≥ 8.0. */
export function hasFastBfloat16(device: Device): boolean {
  if (device === 'cpu') return cpuBfloat16() !== null && engineBuild().oneDnn
  return (gpus()[0]?.capability ?? 8) >= 8 // containers often have no nvidia-smi; older GPUs are rare
}

export const choosePrecision = (
  requested: MachineRequest['precision'],
  device: Device,
): MachinePlan['precision'] =>
  requested === 'bf16' || (requested === 'auto' && hasFastBfloat16(device)) ? 'bfloat16' : 'float32'

const MOST_FOR_A_CORE = 4

/** Throws `VALUE` for a device that does not exist. */
export function planMachine({ device: requested, precision, threads, workers }: MachineRequest): MachinePlan {
  const device = chooseDevice(requested)
  const cores = coreCount()
  // On a CPU training needs nearly all cores; beside a GPU, decoding does.
  const left = device === 'cpu' ? Math.floor(cores / 4) : cores - 1
  return {
    device,
    precision: choosePrecision(precision, device),
    // A configuration may be from a larger machine, or untrusted.
    threads: Math.min(threads || cores, MOST_FOR_A_CORE * cores),
    decodeThreads: workers || Math.max(1, left),
  }
}
