/** Flags to compile the addon against LibTorch; see `src/native/compile.ts`. */
import { spawnSync } from 'node:child_process'
import { existsSync, realpathSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { type AddonBuild, addonFlags, type Build, cpuFlag, planBuild } from '../native/compile.ts'
import { packageRoot } from '../package-root.ts'
import { cpuFlags } from './cpu.ts'
import { installByHand } from './install-hints.ts'
import type { LibTorch } from './libtorch.ts'

/** As LibTorch's headers require: C++17 up to 2.13, C++20 from 2.14 on. */
function languageLevel(version: string): string {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 2 || (major === 2 && minor >= 14) ? 'c++20' : 'c++17'
}

/** The CUDA toolkit, with nvcc: `CUDA_HOME`, the PATH, or the usual folder. */
function cudaToolkit(env: Readonly<Record<string, string | undefined>> = process.env): string | null {
  const onPath = (env.PATH ?? '').split(delimiter).flatMap((dir) => {
    const nvcc = join(dir, 'nvcc')
    return dir && existsSync(nvcc) ? [join(dirname(realpathSync(nvcc)), '..')] : []
  })
  const given = [env.CUDA_HOME, env.CUDA_PATH].filter((dir) => dir !== undefined && dir !== '') as string[]
  const isWhole = (dir: string) =>
    existsSync(join(dir, 'bin/nvcc')) && existsSync(join(dir, 'include/cuda_runtime_api.h'))
  return [...given, ...onPath, '/usr/local/cuda'].find(isWhole) ?? null
}

/**
 * Targets of nvcc: the GPUs of this machine; without one, and for other machines, compute capability 8.0 (the oldest with bfloat16, also as PTX for newer ones)
 * and Hopper.
 */
function gpuCode(build: Build): string[] {
  const asked = spawnSync('nvidia-smi', ['--query-gpu=compute_cap', '--format=csv,noheader'], {
    encoding: 'utf8',
    timeout: 30_000,
  })
  const here =
    asked.status === 0 && build !== 'prebuilt' ? [...new Set(asked.stdout.match(/\d+\.\d+/g) ?? [])] : []
  const code = here.map((version) => version.replace('.', '')).map((n) => `${n},code=sm_${n}`)
  return (code.length > 0 ? code : ['80,code=[sm_80,compute_80]', '90,code=sm_90']).map(
    (each) => `-gencode=arch=compute_${each}`,
  )
}

/** Beside a prebuilt addon: a link to the folder of LibTorch's libraries, since its path differs from machine to machine. */
export const linkToLibraries = ({ version }: LibTorch): string => `libtorch-${version}`

function compilerFlags(libtorch: LibTorch, toolkit: string | null, build: Build): string[] {
  const libraries = ['torch', 'torch_cpu', 'c10', ...(libtorch.cuda ? ['torch_cuda', 'c10_cuda'] : [])]
  return [
    `-std=${languageLevel(libtorch.version)}`,
    ...addonFlags(),
    ...cpuFlag(build),
    `-D_GLIBCXX_USE_CXX11_ABI=${libtorch.cxx11Abi}`,
    ...libtorch.includeDirs.filter((dir) => dir !== '/usr/include').map((dir) => `-I${dir}`),
    ...(toolkit ? ['-DSHERD_CUDA', `-I${join(toolkit, 'include')}`, `-L${join(toolkit, 'lib64')}`] : []),
    `-L${libtorch.libDir}`,
    // The CUDA back end registers itself when its library is loaded; no symbol of it is referenced.
    ...(process.platform === 'darwin' ? [] : ['-Wl,--no-as-needed']),
    ...libraries.map((name) => `-l${name}`),
    ...(toolkit ? ['-lcudart_static', '-ldl', '-lrt', '-lpthread'] : []),
    `-Wl,-rpath,${build === 'prebuilt' ? `$ORIGIN/${linkToLibraries(libtorch)}` : libtorch.libDir}`,
  ]
}

export function planAddon(libtorch: LibTorch, build: Build = 'any'): AddonBuild {
  const library = statSync(
    join(libtorch.libDir, process.platform === 'darwin' ? 'libtorch.dylib' : 'libtorch.so'),
    { throwIfNoEntry: false }, // the linker names it
  )
  const toolkit = libtorch.cuda ? cudaToolkit() : null
  return planBuild({
    name: 'sherd',
    dir: join(packageRoot(), 'native'),
    folders: ['kernels', 'cuda'],
    sources: ['addon.cc', 'kernels/operators.cc'],
    flags: compilerFlags(libtorch, toolkit, build),
    ...(toolkit && {
      others: {
        sources: ['cuda/norm.cu', 'cuda/attention.cu', 'cuda/gelu.cu', 'cuda/tokens.cu'],
        compiler: [join(toolkit, 'bin/nvcc'), '-std=c++17', '-O3', '-Xcompiler=-fPIC', ...gpuCode(build)],
      },
    }),
    inputs: [libtorch, library?.mtimeMs, library?.size, [...cpuFlags()].sort()],
    portable: [libtorch.version, libtorch.cuda, libtorch.cxx11Abi],
    build,
    help: installByHand,
  })
}
