/**
 * Compiles native addons by calling the compiler directly. The output folder is named by a hash of all inputs (sources, flags,
 * Node's ABI, the caller's), so that any change triggers a new build. An addon that was compiled elsewhere for other machines is taken
 * from native/prebuilt/, whose names have a hash of what must be the same on both.
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
import { basename, dirname, join } from 'node:path'
import { SherdError } from '../errors.ts'
import { packageRoot } from '../package-root.ts'

const require = createRequire(import.meta.url)

/** The CPU that is compiled for: this one, whose flags are then part of the build's name, or what most machines of the last ten years have. */
export const cpuFlag = (build?: Build): string[] =>
  build === 'prebuilt'
    ? process.arch === 'x64'
      ? ['-march=x86-64-v3']
      : []
    : [process.arch === 'x64' ? '-march=native' : '-mcpu=native']

export function compiler(): string {
  return process.env.CXX ?? (process.platform === 'darwin' ? 'clang++' : 'g++')
}

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
    return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sherd') // the package's folder is not writable
  }
}

export interface ObjectFile {
  readonly path: string
  readonly command: readonly string[]
}

export interface AddonBuild {
  readonly path: string
  /** Whether `path` is there and was compiled for other machines. */
  readonly isPrebuilt?: boolean
  /** Compiled first, in parallel; `command` links them. Empty for a single source, which `command` compiles. */
  readonly objects?: readonly ObjectFile[]
  /** `-o` and the path are appended, as for the objects. */
  readonly command: readonly string[]
  /** How to install a compiler. */
  readonly help: string
}

export interface AddonPlan {
  /** Of the compiled file, without extension. */
  readonly name: string
  /** The folder of its sources: every `.cc` and `.h` in it is an input of the hash. */
  readonly dir: string
  /** Sub-folders that are inputs of the hash, too. */
  readonly folders?: readonly string[]
  /** The sources to compile. */
  readonly sources: readonly string[]
  readonly flags: readonly string[]
  /** Sources for another compiler (with its flags), such as nvcc. */
  readonly others?: { readonly sources: readonly string[]; readonly compiler: readonly string[] }
  /** Further inputs of the hash, as JSON. */
  readonly inputs: unknown
  /** Of these, what must be the same where a prebuilt addon runs: versions, but no paths. */
  readonly portable: unknown
  /** What is planned: the addon for this machine, prebuilt or not (default); the one that is compiled here; one for other machines. */
  readonly build?: Build
  readonly help: string
}

export type Build = 'any' | 'own' | 'prebuilt'

/** Flags that may differ from machine to machine: paths, libraries, the CPU, what is built in. */
const isOfMachine = (flag: string) => /^-([ILl]|Wl,|m(arch|cpu)=|DSHERD_)/.test(flag)

export function planBuild({
  name,
  dir,
  folders = [],
  sources,
  flags,
  others,
  inputs,
  portable,
  build = 'any',
  help,
}: AddonPlan): AddonBuild {
  const bytes = ['.', ...folders]
    .map((below) => join(dir, below))
    .filter(existsSync)
    .flatMap((folder) =>
      readdirSync(folder)
        .sort()
        .flatMap((file) => (/\.(cc|cu|h)$/.test(file) ? [readFileSync(join(folder, file))] : [])),
    )
  const hash = (...of: unknown[]) => {
    const key = createHash('sha256').update(JSON.stringify([...of, process.arch]))
    for (const source of bytes) key.update(source)
    return key.digest('hex').slice(0, 16)
  }
  const same = hash(
    flags.filter((flag) => !isOfMachine(flag)),
    portable,
  )
  const carried = join(packageRoot(), 'native', 'prebuilt', `${name}-${same}.node`)
  const own = join(buildRoot(), hash(flags, others, inputs, process.versions.modules), `${name}.node`)
  const isPrebuilt = build === 'any' && !existsSync(own) && existsSync(carried)
  const path = build === 'prebuilt' || isPrebuilt ? carried : own
  const folder = dirname(path)
  const compile = [compiler(), ...flags]
  if (sources.length === 1 && !others)
    return { path, isPrebuilt, command: [compiler(), join(dir, sources[0]!), ...flags], help }
  const objectOf = (source: string, command: readonly string[]): ObjectFile => ({
    path: join(folder, `${basename(source)}.o`),
    command: [...command, '-c', join(dir, source)],
  })
  const objects = [
    ...(others?.sources ?? []).map((source) => objectOf(source, others!.compiler)),
    ...sources.map((source) => objectOf(source, compile)),
  ]
  // Linkers need libraries after the objects that use them.
  return {
    path,
    isPrebuilt,
    objects,
    command: [compiler(), ...objects.map((object) => object.path), ...flags],
    help,
  }
}

/** The first errors of a compiler's output. */
const errorsIn = (said: string): string =>
  said
    .split('\n')
    .filter((line) => line.includes('error'))
    .slice(0, 5)
    .join('\n') || said.slice(-2000)

// Runs compilers in parallel and waits for them: Node can run only one program synchronously. Exits with the status of one that failed,
// or 127 if it could not be started.
const sideBySide = `
const { spawn } = require('node:child_process')
for (const [program, ...args] of JSON.parse(process.argv[1])) {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  child.on('error', (error) => { console.error('could not be started: ' + error.message); process.exitCode = 127 })
  child.on('close', (status) => { if (status !== 0) process.exitCode ??= status ?? 1 })
}`

/** Runs compilers, each writing its `path`; the files are renamed only if all succeed. */
function compileAll(files: readonly ObjectFile[], help: string): void {
  const temporary = (path: string) => `${path}.${process.pid}.tmp`
  const commands = files.map(({ path, command }) => [...command, '-o', temporary(path)])
  const one = commands.length === 1 ? commands[0]! : null
  const [program = '', ...args] = one ?? [process.execPath, '-e', sideBySide, JSON.stringify(commands)]
  const done = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 26 })
  const missing = done.error?.message ?? (one ? null : done.stderr.match(/could not be started: (.*)/)?.[1])
  if (missing || done.status !== 0) for (const { path } of files) rmSync(temporary(path), { force: true })
  if (missing) {
    throw new SherdError(
      'ENGINE_BUILD',
      `Compiling sherd's addon needs a C++ compiler, and "${files[0]!.command[0]}" could not be started (${missing}).\n${help}`,
      { cause: done.error },
    )
  }
  if (done.status !== 0) {
    const typed = files.map(({ path, command }) => [...command, '-o', path].join(' ')).join('\n')
    throw new SherdError(
      'ENGINE_BUILD',
      `Compiling sherd's addon failed (status ${done.status}):\n${errorsIn(done.stderr)}\nThe command was:\n${typed}`,
    )
  }
  for (const { path } of files) renameSync(temporary(path), path)
}

/** Safe if another process compiles the same addon. */
export function compileAddon({ path, objects = [], command, help }: AddonBuild): void {
  mkdirSync(dirname(path), { recursive: true })
  if (objects.length > 0) compileAll(objects, help)
  compileAll([{ path, command }], help)
  for (const object of objects) rmSync(object.path, { force: true })
}

export function isCompiled(build: AddonBuild): boolean {
  return existsSync(build.path)
}
