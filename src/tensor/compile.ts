/**
 * Compiles the addon against the LibTorch that was found. The result lies in a folder named by everything it depends on
 * (sources, compiler flags, LibTorch, Node's ABI), so a change of any of them makes a new one by itself.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { SherdError } from '../errors.ts'
import { packageRoot } from '../package-root.ts'
import { cpuFlags } from './cpu.ts'
import { installByHand } from './install-hints.ts'
import type { LibTorch } from './libtorch.ts'

const require = createRequire(import.meta.url)

function compiler(): string {
  return process.env.CXX ?? (process.platform === 'darwin' ? 'clang++' : 'g++')
}

/** LibTorch's headers set the language level: C++17 up to 2.13, C++20 from 2.14 on. */
function languageLevel(version: string): string {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 2 || (major === 2 && minor >= 14) ? 'c++20' : 'c++17'
}

// The kernels are compiled for the CPU that runs them. Which one that is belongs into the name of the build.
const forThisCpu = process.arch === 'x64' ? '-march=native' : '-mcpu=native'

function compilerFlags(libtorch: LibTorch): string[] {
  const napiHeaders = [
    dirname(require.resolve('node-addon-api/napi.h')),
    (require('node-api-headers') as { include_dir: string }).include_dir,
  ]
  const libraries = ['torch', 'torch_cpu', 'c10', ...(libtorch.cuda ? ['torch_cuda', 'c10_cuda'] : [])]
  return [
    `-std=${languageLevel(libtorch.version)}`,
    ...['-O3', forThisCpu, '-fno-math-errno', '-fPIC', '-shared', '-fvisibility=hidden', '-w'],
    ...['-DNAPI_CPP_EXCEPTIONS', '-DNAPI_VERSION=8', `-D_GLIBCXX_USE_CXX11_ABI=${libtorch.cxx11Abi}`],
    ...napiHeaders.map((dir) => `-I${dir}`),
    ...libtorch.includeDirs.filter((dir) => dir !== '/usr/include').map((dir) => `-I${dir}`),
    `-L${libtorch.libDir}`,
    // The CUDA back end registers itself when its library is loaded: nothing of it is named in the source.
    ...(process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : ['-Wl,--no-as-needed']),
    ...libraries.map((name) => `-l${name}`),
    `-Wl,-rpath,${libtorch.libDir}`,
  ]
}

function buildRoot(): string {
  const inPackage = join(packageRoot(), 'native', 'build')
  try {
    mkdirSync(inPackage, { recursive: true })
    accessSync(inPackage, constants.W_OK)
    return inPackage
  } catch {
    return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sherd') // a package that root installed
  }
}

export interface AddonBuild {
  /** Where the compiled addon is, or will be. */
  readonly path: string
  readonly command: readonly string[]
}

/** Where the addon for this LibTorch belongs, and the command that compiles it. */
export function planAddon(libtorch: LibTorch): AddonBuild {
  const native = join(packageRoot(), 'native')
  const sources = readdirSync(native, { recursive: true, encoding: 'utf8' }).filter(
    (name) => !name.startsWith('build') && /\.(cc|h)$/.test(name),
  )
  const flags = compilerFlags(libtorch)
  const library = statSync(
    join(libtorch.libDir, process.platform === 'darwin' ? 'libtorch.dylib' : 'libtorch.so'),
  )
  const key = createHash('sha256').update(
    JSON.stringify([
      flags,
      libtorch,
      library.mtimeMs,
      library.size,
      process.versions.modules,
      [...cpuFlags()].sort(),
    ]),
  )
  for (const name of sources.sort()) key.update(readFileSync(join(native, name)))
  const path = join(buildRoot(), key.digest('hex').slice(0, 16), 'sherd.node')
  const units = ['addon.cc', 'kernels/operators.cc'].map((name) => join(native, name))
  return { path, command: [compiler(), ...units, ...flags] }
}

/** Compiles the addon; another process that does the same at the same time is no trouble. */
export function compileAddon({ path, command }: AddonBuild): void {
  const [program = '', ...flags] = command
  mkdirSync(dirname(path), { recursive: true })
  const temporary = `${path}.${process.pid}.tmp`
  const done = spawnSync(program, [...flags, '-o', temporary], { encoding: 'utf8', maxBuffer: 1 << 26 })
  if (done.error) {
    throw new SherdError(
      'ENGINE_BUILD',
      `Compiling sherd's addon needs a C++ compiler, and "${program}" could not be started (${done.error.message}).\n${installByHand}`,
      { cause: done.error },
    )
  }
  if (done.status !== 0) {
    rmSync(temporary, { force: true })
    const errors = done.stderr
      .split('\n')
      .filter((line) => line.includes('error'))
      .slice(0, 5)
      .join('\n')
    throw new SherdError(
      'ENGINE_BUILD',
      `Compiling sherd's addon failed (status ${done.status}):\n${errors || done.stderr.slice(-2000)}\nThe command was:\n${[...command, '-o', path].join(' ')}`,
    )
  }
  renameSync(temporary, path)
}

/** Whether the addon is there already. */
export function isCompiled(build: AddonBuild): boolean {
  return existsSync(build.path)
}
