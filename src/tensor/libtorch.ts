/**
 * Finds LibTorch in the order of tch-rs: the directory `LIBTORCH`, the PyTorch of `python3` if `LIBTORCH_USE_PYTORCH=1`, then the
 * system's packages. All attempts are recorded for `sherd doctor` and error messages. Loads nothing: versions are read from headers.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SherdError } from '../errors.ts'
import { installByHand } from './install-hints.ts'

export interface LibTorch {
  readonly origin: 'LIBTORCH' | 'LIBTORCH_USE_PYTORCH' | 'system'
  readonly includeDirs: readonly string[]
  readonly libDir: string
  /** From its headers, such as `2.6.0`. */
  readonly version: string
  /** Whether it includes the CUDA back end. */
  readonly cuda: boolean
  /** `_GLIBCXX_USE_CXX11_ABI` of its build. */
  readonly cxx11Abi: 0 | 1
}

export interface Attempt {
  readonly where: string
  readonly result: string
}

export interface Discovery {
  readonly libtorch: LibTorch | null
  readonly tried: readonly Attempt[]
}

type Environment = Readonly<Record<string, string | undefined>>

const libraryName = process.platform === 'darwin' ? 'libtorch.dylib' : 'libtorch.so'

function readIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

/** Newer versions have the numbers in `torch/headeronly`. */
function headerVersion(include: string): string | null {
  for (const path of ['torch/csrc/api/include/torch/version.h', 'torch/headeronly/version.h']) {
    const text = readIfThere(join(include, path))
    const part = (name: string) => text.match(new RegExp(`#define\\s+TORCH_VERSION_${name}\\s+(\\d+)`))?.[1]
    const [major, minor, patch] = [part('MAJOR'), part('MINOR'), part('PATCH')]
    if (major && minor) return `${major}.${minor}.${patch ?? 0}`
  }
  return null
}

function describe(
  origin: LibTorch['origin'],
  include: string,
  libDir: string,
  cmakeDirs: string[],
): LibTorch | string {
  if (!existsSync(join(libDir, libraryName))) return `no ${libraryName} in ${libDir}`
  const version = headerVersion(include)
  if (!version) return `${libraryName} is in ${libDir}, but its C++ headers are not in ${include}`
  const cmake = cmakeDirs.map((dir) => readIfThere(join(dir, 'Torch', 'TorchConfig.cmake'))).join('\n')
  return {
    origin,
    includeDirs: [include, join(include, 'torch/csrc/api/include')],
    libDir,
    version,
    cuda: existsSync(join(libDir, libraryName.replace('libtorch', 'libtorch_cuda'))),
    cxx11Abi: cmake.includes('_GLIBCXX_USE_CXX11_ABI=0') ? 0 : 1,
  }
}

function inDirectory(origin: LibTorch['origin'], dir: string): LibTorch | string {
  if (!existsSync(dir)) return `${dir} does not exist`
  return describe(origin, join(dir, 'include'), join(dir, 'lib'), [join(dir, 'share/cmake')])
}

/** In Debian's multi-arch folders, /usr/local, Homebrew's prefix. */
function inSystem(): LibTorch | string {
  const failures: string[] = []
  for (const prefix of ['/usr', '/usr/local', '/opt/homebrew']) {
    const lib = join(prefix, 'lib')
    if (!existsSync(lib)) continue
    const nested = readdirSync(lib).filter((name) => name.includes('-linux-'))
    for (const libDir of [...nested.map((name) => join(lib, name)), lib, join(prefix, 'lib64')]) {
      if (!existsSync(join(libDir, libraryName))) continue
      const found = describe('system', join(prefix, 'include'), libDir, [
        join(libDir, 'cmake'),
        join(prefix, 'share/cmake'),
      ])
      if (typeof found !== 'string') return found
      failures.push(found)
    }
  }
  return failures[0] ?? `no ${libraryName} under /usr, /usr/local or /opt/homebrew`
}

/** Asks Python for the path of torch without importing it, which takes seconds. */
function inPython(): LibTorch | string {
  const script = 'import importlib.util as u; s = u.find_spec("torch"); print(s.origin if s else "")'
  const asked = spawnSync('python3', ['-c', script], { encoding: 'utf8', timeout: 30_000 })
  if (asked.error || asked.status !== 0)
    return `python3 could not be asked: ${asked.error?.message ?? asked.stderr.trim()}`
  const init = asked.stdout.trim()
  if (!init) return 'this python3 has no torch'
  const dir = join(init, '..')
  const found = inDirectory('LIBTORCH_USE_PYTORCH', dir)
  if (typeof found !== 'string' || !dir.startsWith('/usr/lib/python3/')) return found
  // Debian's python3-torch keeps its headers and libraries in the system's folders (libtorch-dev).
  const system = inSystem()
  return typeof system === 'string' ? `${system} (install libtorch-dev for Debian's python3-torch)` : system
}

/** `tried`: all attempts, in order. */
export function findLibTorch(env: Environment = process.env): Discovery {
  const tried: Attempt[] = []
  const attempt = (where: string, result: LibTorch | string): LibTorch | null => {
    const found = typeof result !== 'string'
    tried.push({ where, result: found ? `LibTorch ${result.version} in ${result.libDir}` : result })
    return found ? result : null
  }
  // No silent fallback if a set variable fails.
  if (env.LIBTORCH) {
    return { libtorch: attempt(`LIBTORCH=${env.LIBTORCH}`, inDirectory('LIBTORCH', env.LIBTORCH)), tried }
  }
  tried.push({ where: 'LIBTORCH', result: 'not set' })
  if (env.LIBTORCH_USE_PYTORCH === '1') {
    return { libtorch: attempt('LIBTORCH_USE_PYTORCH=1', inPython()), tried }
  }
  tried.push({ where: 'LIBTORCH_USE_PYTORCH', result: 'not set' })
  return { libtorch: attempt('system', inSystem()), tried }
}

/** Throws `ENGINE_MISSING` with all attempts and what to install by hand. */
export function requireLibTorch(): LibTorch {
  const { libtorch, tried } = findLibTorch()
  if (libtorch) return libtorch
  const looked = tried.map(({ where, result }) => `  ${where}: ${result}`).join('\n')
  throw new SherdError('ENGINE_MISSING', `LibTorch was not found. Looked at:\n${looked}\n${installByHand}`)
}
