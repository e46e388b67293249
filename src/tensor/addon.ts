/** Loads the native addon, compiling it if it is missing. The only file that loads the `.node` binary. */
import { readlinkSync, renameSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { messageOf, SherdError } from '../errors.ts'
import { type AddonBuild, compileAddon, isCompiled } from '../native/compile.ts'
import { expectAddressSpace } from './address-space.ts'
import { linkToLibraries, planAddon } from './compile.ts'
import { type LibTorch, requireLibTorch } from './libtorch.ts'

/** A tensor on the native side: slot and generation in one number. */
export type Handle = number
export type NativeResult = Handle | null | readonly NativeResult[]

export interface EngineBuild {
  readonly version: string
  /** LibTorch's own description of its build. */
  readonly configuration: string
  readonly threads: number
  readonly cudaBuild: boolean
  readonly cudaDevices: number
  readonly oneDnn: boolean
  /** Whether the kernels were compiled for a CPU with bfloat16 products. */
  readonly bfloat16Kernels: boolean
  /** Whether the CUDA toolkit was available when it was compiled. */
  readonly cudaKernels: boolean
  /** Whether it records CUDA graphs: LibTorch 2.1 and the CUDA toolkit. */
  readonly graphs: boolean
}

/** What `native/addon.cc` exports. */
export interface Addon {
  operator(name: string, overload: string): number
  call(operator: number, args: readonly unknown[]): NativeResult
  fromBytes(data: ArrayBufferView, dtype: number, shape: readonly number[], device: string): Handle
  toBytes(handle: Handle): ArrayBuffer
  describe(handle: Handle): [dtype: number, device: string, requiresGradient: boolean, shape: number[]]
  free(handle: Handle): void
  liveTensors(): number
  requireGradient(handle: Handle, on: boolean): void
  share(handle: Handle): Handle
  backward(handles: readonly Handle[], gradients: readonly (Handle | null)[]): void
  gradient(handle: Handle): Handle | null
  clearGradient(handle: Handle): void
  norm(tensors: readonly Handle[]): number
  adamW(
    parameters: readonly Handle[],
    gradients: readonly Handle[],
    first: readonly Handle[],
    second: readonly Handle[],
    step: readonly [decay: number, beta1: number, beta2: number, rate: number, epsilon: number],
  ): void
  setGradientMode(on: boolean): boolean
  setAutocast(device: string, on: boolean, dtype: number): void
  seed(seed: number): void
  setThreads(threads: number): void
  synchronize(device: string): void
  /** These only where `build` says `graphs`. */
  beginGraph(): void
  endGraph(keep: boolean): number
  asideOfGraph(on: boolean): void
  replayGraph(graph: number): void
  freeGraph(graph: number): void
  lock(path: string): number | null
  unlock(descriptor: number): void
  quitAtSecondSignal(): void
  build(): EngineBuild
}

let loaded: Addon | undefined

const open = (build: AddonBuild) => createRequire(import.meta.url)(build.path) as Addon

/** The addon that was compiled on another machine; null, with the reason printed, if it does not load on this one. */
function openPrebuilt(build: AddonBuild, libtorch: LibTorch): Addon | null {
  const link = join(dirname(build.path), linkToLibraries(libtorch))
  try {
    if (linkedTo(link) !== libtorch.libDir) {
      const made = `${link}.${process.pid}.tmp`
      symlinkSync(libtorch.libDir, made)
      renameSync(made, link) // whole at any moment: other processes may be loading
    }
    return open(build)
  } catch (error) {
    process.stderr.write(`sherd: ${build.path} cannot be used here: ${messageOf(error)}\n`)
    return null
  }
}

function linkedTo(link: string): string | null {
  try {
    return readlinkSync(link)
  } catch {
    return null
  }
}

function load(): Addon {
  expectAddressSpace()
  const libtorch = requireLibTorch()
  const found = planAddon(libtorch)
  const prebuilt = found.isPrebuilt ? openPrebuilt(found, libtorch) : null
  if (prebuilt) return prebuilt
  const build = found.isPrebuilt ? planAddon(libtorch, 'own') : found
  if (!isCompiled(build)) {
    // Half a minute of silence looks like a hang: the only line that the library prints when all is well.
    process.stderr.write(`sherd: compiling its addon for LibTorch ${libtorch.version}, once …\n`)
    compileAddon(build)
  }
  try {
    return open(build)
  } catch (error) {
    throw new SherdError(
      'ENGINE_BUILD',
      `The addon ${build.path} could not be loaded: ${messageOf(error)}\nRun "sherd doctor" to see which LibTorch it was built for.`,
      { cause: error },
    )
  }
}

/** Loaded at the first call. Throws `ENGINE_MISSING` or `ENGINE_BUILD` with what to do. */
export function addon(): Addon {
  loaded ??= load()
  return loaded
}
