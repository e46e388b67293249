/** `sherd doctor`: what is installed, what is missing, and how to fix it. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import { compiler, isCompiled } from '../native/compile.ts'
import { jpegPackage, pixelsAddon, pixelsFailure } from '../native/pixels-addon.ts'
import { packageRoot } from '../package-root.ts'
import { planAddon } from '../tensor/compile.ts'
import { engineBuild, setThreads } from '../tensor/context.ts'
import { aptCommand } from '../tensor/install-hints.ts'
import { findLibTorch } from '../tensor/libtorch.ts'
import { blasFinding, blasLibraries, hasOpenBlas, slowestHealthy } from './blas.ts'
import type { Finding } from './finding.ts'
import { measureGemm } from './gemm.ts'
import { coreCount, cpuBfloat16, cpuName, gpus } from './hardware.ts'
import { loadOf, othersNow, withOthers } from './load.ts'

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const healthy = major > 20 || (major === 20 && minor >= 19)
  return {
    name: 'Node.js',
    status: healthy ? 'ok' : 'fail',
    value: process.versions.node,
    ...(healthy ? {} : { fix: 'install Node.js 20.19 or newer: https://nodejs.org/en/download' }),
  }
}

/** In a clone the lock file says what is missing; elsewhere it is a dependency of the user's own project. */
const npmFix = (elsewhere: string): string =>
  existsSync(join(packageRoot(), 'package-lock.json')) ? `cd ${packageRoot()} && npm ci` : elsewhere

function sharpLibrary(): Finding {
  try {
    const sharp = createRequire(import.meta.url)('sharp') as { versions: Record<string, string> }
    return { name: 'sharp', status: 'ok', value: `${sharp.versions.sharp} (libvips ${sharp.versions.vips})` }
  } catch (error) {
    return {
      name: 'sharp',
      status: 'fail',
      value: messageOf(error).split('\n')[0] ?? '',
      fix: npmFix('npm install sharp'),
    }
  }
}

/** Needed for exported models only. */
function onnxRuntime(): Finding {
  const name = 'ONNX Runtime'
  process.env.ORT_DISABLE_TELEMETRY ??= '1' // see src/onnx/session.ts
  try {
    const runtime = createRequire(import.meta.url)('onnxruntime-node') as {
      env: { versions: Record<string, string> }
    }
    return { name, status: 'ok', value: `${runtime.env.versions.node}` }
  } catch (error) {
    const value = `${messageOf(error).split('\n')[0]}: exported models cannot be run`
    return { name, status: 'warn', value, fix: npmFix('npm install onnxruntime-node') }
  }
}

function compilerFinding(needed: boolean): Finding {
  const name = compiler()
  const asked = spawnSync(name, ['--version'], { encoding: 'utf8' })
  if (asked.status === 0)
    return { name: 'C++ compiler', status: 'ok', value: asked.stdout.split('\n')[0] ?? name }
  const fix = process.platform === 'darwin' ? 'xcode-select --install' : 'apt-get install -y g++'
  return { name: 'C++ compiler', status: needed ? 'fail' : 'warn', value: `${name} was not found`, fix }
}

/** Where cores are in use by others, the products are slow whatever computes them. */
function loadFinding(load: number | null, cores: number): Finding {
  const name = 'other programs'
  if (load === null) return { name, status: 'ok', value: 'leave the cores alone' }
  return {
    ...{
      name,
      status: 'warn',
      value: `use ${load.toFixed(1)} of ${cores} cores: this machine is faster than what is measured here`,
    },
    fix: 'let them end, or stop them; then measure again',
  }
}

/** A set variable takes precedence over packages, so it must be unset first. */
function fixOf(where: string): string {
  if (where.startsWith('LIBTORCH=')) return 'export LIBTORCH=/path/to/libtorch   (or unset LIBTORCH)'
  if (where.startsWith('LIBTORCH_USE_PYTORCH'))
    return 'python3 -m pip install torch   (or unset LIBTORCH_USE_PYTORCH)'
  return `${aptCommand}   (or set LIBTORCH, or LIBTORCH_USE_PYTORCH=1)`
}

function engine(): Finding[] {
  const { libtorch, tried } = findLibTorch()
  const found: Finding[] = tried.map(({ where, result }) => ({
    name: `LibTorch by ${where}`,
    status: libtorch || result === 'not set' ? 'ok' : 'fail',
    value: result,
    ...(libtorch || result === 'not set' ? {} : { fix: fixOf(where) }),
  }))
  if (!libtorch)
    return [
      ...found,
      compilerFinding(true),
      {
        name: 'without LibTorch',
        status: 'ok',
        value: 'import, export huggingface (without graphs) and timm, and whatever takes an .onnx file, work',
      },
    ]
  found.push(compilerFinding(!isCompiled(planAddon(libtorch))))
  const cores = coreCount()
  try {
    const build = engineBuild()
    setThreads(cores)
    const capability = build.configuration.match(/CPU capability usage: (\S+)/)?.[1] ?? 'unknown'
    const before = othersNow()
    const { result: float32, others } = withOthers(() => measureGemm({ dtype: 'float32' }))
    const bfloat16 = measureGemm({ dtype: 'bfloat16' })
    const load = loadOf([before, others, othersNow()])
    const isSlow = float32 / cores < slowestHealthy
    const unit = cpuBfloat16()
    const devices = gpus()
    found.push(
      { name: 'addon', status: 'ok', value: planAddon(libtorch).path },
      {
        name: 'LibTorch',
        status: 'ok',
        value: `${libtorch.version}, kernels for ${capability}, oneDNN ${build.oneDnn ? 'yes' : 'no'}`,
      },
      blasFinding({
        ...{ libraries: blasLibraries(), perCore: float32 / cores, load },
        ...{ hasOpenBlas: hasOpenBlas(), hasApt: existsSync('/usr/bin/apt-get') },
      }),
      {
        name: 'float32 product',
        status: isSlow ? 'warn' : 'ok',
        value: `${float32.toFixed(0)} GFLOP/s`,
        ...(isSlow && { fix: load === null ? 'see BLAS' : 'see other programs' }),
      },
      {
        name: 'bfloat16 product',
        status: 'ok',
        value: `${bfloat16.toFixed(0)} GFLOP/s (${unit ?? 'no matrix unit: training takes float32'})`,
      },
      { name: 'threads', status: 'ok', value: `${cores} cores: ${cpuName()}` },
      loadFinding(load, cores),
    )
    if (build.cudaDevices > 0)
      found.push({
        name: 'CUDA',
        status: 'ok',
        value:
          devices.map((gpu) => `${gpu.name}, ${gpu.memory}`).join('; ') || `${build.cudaDevices} devices`,
      })
    else if (devices.length > 0)
      found.push({
        name: 'CUDA',
        status: 'warn',
        value: `${devices.map((gpu) => gpu.name).join('; ')}, but this LibTorch cannot use it`,
        fix: build.cudaBuild
          ? 'update the driver of the GPU: nvidia-smi names the CUDA version that it has, and this LibTorch is built for another'
          : 'python3 -m pip install torch && export LIBTORCH_USE_PYTORCH=1   (a PyTorch built with CUDA)',
      })
    else
      found.push({
        name: 'CUDA',
        status: 'ok',
        value: `no GPU here; this LibTorch is built ${build.cudaBuild ? 'with' : 'without'} CUDA`,
      })
  } catch (error) {
    found.push({ name: 'addon', status: 'fail', value: messageOf(error), fix: 'sherd setup' })
  }
  return found
}

function pixels(): Finding {
  const addon = pixelsAddon()
  const name = 'addon for images'
  if (addon?.jpeg) return { name, status: 'ok', value: `with libjpeg-turbo ${addon.jpeg}` }
  const fix =
    process.platform === 'darwin' ? 'brew install jpeg-turbo' : `apt-get install -y g++ ${jpegPackage}`
  const value = addon ? 'without libjpeg-turbo: sharp decodes JPEG files' : pixelsFailure().split('\n')[0]!
  return { name, status: 'warn', value, fix: `${fix} && sherd setup` }
}

export type { Finding } from './finding.ts'

/** Takes two or three seconds, since matrix products are timed. */
export function examine(): Finding[] {
  return [node(), ...engine(), pixels(), sharpLibrary(), onnxRuntime()]
}
