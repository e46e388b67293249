/**
 * Compiles a native addon by one direct call of the compiler. The result lies in a folder named by everything it depends
 * on (sources, compiler flags, Node's ABI, whatever the caller adds), so a change of any of them makes a new one by itself.
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
} from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { SherdError } from '../errors.ts'
import { packageRoot } from '../package-root.ts'

const require = createRequire(import.meta.url)

export function compiler(): string {
  return process.env.CXX ?? (process.platform === 'darwin' ? 'clang++' : 'g++')
}

/** What every addon of ours is compiled with: a shared library over Node-API, optimised. */
export function addonFlags(): string[] {
  const headers = [
    dirname(require.resolve('node-addon-api/napi.h')),
    (require('node-api-headers') as { include_dir: string }).include_dir,
  ]
  return [
    ...['-O3', '-fno-math-errno', '-fPIC', '-shared', '-fvisibility=hidden', '-w'],
    ...['-DNAPI_CPP_EXCEPTIONS', '-DNAPI_VERSION=8'],
    ...headers.map((dir) => `-I${dir}`),
    ...(process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : []),
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
  /** What to type where there is no compiler. */
  readonly help: string
}

export interface AddonPlan {
  /** Of the compiled file, without its ending. */
  readonly name: string
  /** The folder of its sources: every `.cc` and `.h` in it counts. */
  readonly dir: string
  /** Folders in it whose sources count, too. */
  readonly folders?: readonly string[]
  /** The sources that are compiled; they include the others. */
  readonly sources: readonly string[]
  readonly flags: readonly string[]
  /** What else the result depends on, as JSON. */
  readonly inputs: unknown
  readonly help: string
}

/** Where the addon belongs, and the command that compiles it. */
export function planBuild({ name, dir, folders = [], sources, flags, inputs, help }: AddonPlan): AddonBuild {
  const key = createHash('sha256').update(
    JSON.stringify([flags, inputs, process.versions.modules, process.arch]),
  )
  for (const folder of ['.', ...folders].map((below) => join(dir, below)).filter(existsSync))
    for (const file of readdirSync(folder).sort())
      if (/\.(cc|h)$/.test(file)) key.update(readFileSync(join(folder, file)))
  const path = join(buildRoot(), key.digest('hex').slice(0, 16), `${name}.node`)
  return { path, command: [compiler(), ...sources.map((source) => join(dir, source)), ...flags], help }
}

/** Compiles the addon; another process that does the same at the same time is no trouble. */
export function compileAddon({ path, command, help }: AddonBuild): void {
  const [program = '', ...flags] = command
  mkdirSync(dirname(path), { recursive: true })
  const temporary = `${path}.${process.pid}.tmp`
  const done = spawnSync(program, [...flags, '-o', temporary], { encoding: 'utf8', maxBuffer: 1 << 26 })
  if (done.error) {
    throw new SherdError(
      'ENGINE_BUILD',
      `Compiling sherd's addon needs a C++ compiler, and "${program}" could not be started (${done.error.message}).\n${help}`,
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
