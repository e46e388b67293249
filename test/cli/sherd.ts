// Runs the command as a user does: the compiled launcher in a process of its own.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { EVERY, type KindName, printedBy, schemaOf } from '../../src/cli/json/kinds.ts'
import { packageRoot } from '../../src/package-root.ts'
import type { Metric } from '../../src/run/journal.ts'
import { afterFile, folderOfFile } from '../after-file.ts'
import { takeStreams } from './terminal.ts'

export interface Outcome {
  /** The exit status, or the signal that ended the process. */
  readonly status: number | NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** Both, in the order in which they were written; only of `inProcess`. */
  readonly written?: string
  /** The lines of standard output as JSON, each as the schema of its kind says. */
  json(): Record<string, unknown>[]
}

export interface Running {
  kill(signal: NodeJS.Signals): void
  /** What it has written up to now. */
  stdout(): string
  stderr(): string
  readonly ended: Promise<Outcome>
}

// Threads of several commands at once that wait must not take the cores from those that work.
const quiet = { NO_COLOR: '1', OMP_WAIT_POLICY: 'passive' }

const launcher = join(packageRoot(), 'dist/src/cli/bin.cjs')

/** Starts `sherd ARGS`. Relative paths are below `cwd`, a folder of temporary files unless given. */
export function start(
  args: readonly string[],
  { cwd = tmpdir(), env = {} }: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Running {
  const child = spawn(process.execPath, [launcher, ...args], {
    cwd,
    env: { ...process.env, ...quiet, ...env },
  })
  afterFile(() => child.kill('SIGKILL')) // a test that fails leaves nothing behind that works for ever
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve(outcomeOf(args, signal ?? code, { stdout, stderr })))
  })
  return { kill: (signal) => child.kill(signal), stdout: () => stdout, stderr: () => stderr, ended }
}

export const sherd = (args: readonly string[], options: Parameters<typeof start>[1] = {}): Promise<Outcome> =>
  start(args, options).ended

let turn: Promise<unknown> = Promise.resolve()

/**
 * As `sherd`, in this process: for commands that are refused, or only read and print. What a process does (signals, threads, the launcher, how
 * it ends) is not tested by it. One at a time, since the streams and the folder are the process's.
 */
export function inProcess(args: readonly string[], options: HereOptions = {}): Promise<Outcome> {
  const outcome = turn.then(() => runHere(args, options))
  turn = outcome.catch(() => {})
  return outcome
}

export interface HereOptions {
  readonly cwd?: string
  /** As on a terminal of so many columns; without it as into files. */
  readonly columns?: number
  readonly env?: NodeJS.ProcessEnv
  /** Runs beside the command, with what it has written up to now: asks a server, and stops it. */
  readonly meanwhile?: (written: () => string) => Promise<void>
}

async function runHere(
  args: readonly string[],
  { cwd = tmpdir(), columns, env = {}, meanwhile }: HereOptions,
): Promise<Outcome> {
  const { main } = await import('../../src/cli/main.ts')
  const [home, before] = [process.cwd(), process.exitCode]
  const written = { stdout: '', stderr: '', written: '' }
  const forget = [
    ...['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1'].map((name) => newListeners(process, name)),
    ...[process.stdout, process.stderr].map((stream) => newListeners(stream, 'error')),
  ]
  const restore = takeStreams(columns ?? null, (name, text) => {
    written[name] += text
    written.written += text
  })
  const variables = Object.keys(env).map((name) => [name, process.env[name]] as const)
  Object.assign(process.env, env)
  process.chdir(cwd)
  process.exitCode = undefined
  try {
    await Promise.all([main(['node', 'sherd', ...args]), meanwhile?.(() => written.written)])
    return outcomeOf(args, process.exitCode ?? 0, written)
  } finally {
    process.exitCode = before
    process.chdir(home)
    for (const [name, value] of variables)
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    for (const each of [restore, ...forget]) each()
  }
}

/** Takes away the listeners that are added from now on. */
function newListeners(emitter: NodeJS.EventEmitter, name: string): () => void {
  const before = emitter.listeners(name)
  return () => {
    for (const listener of emitter.listeners(name))
      if (!before.includes(listener)) emitter.off(name, listener as () => void)
  }
}

const outcomeOf = (
  args: readonly string[],
  status: Outcome['status'],
  { stdout, stderr, ...more }: Pick<Outcome, 'stdout' | 'stderr' | 'written'>,
): Outcome => ({
  ...{ status, stdout, stderr, ...more },
  json: () =>
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => expectSchema(JSON.parse(line) as Record<string, unknown>, args)),
})

/** Throws unless the object is what the schema of its kind says, without another field, and of a kind that the command prints. */
export function expectSchema<T extends Record<string, unknown>>(line: T, args: readonly string[]): T {
  const kind = line.kind as KindName
  const { success, error } = schemaOf(kind).safeParse(line)
  if (!success) throw new Error(`sherd ${args.join(' ')} printed "${kind}": ${z.prettifyError(error)}`)
  const words = args.filter((arg) => !arg.startsWith('-')).join(' ')
  if (!printedBy(kind).some((command) => command === EVERY || `${words} `.startsWith(`${command} `)))
    throw new Error(`json/kinds.ts does not say that ${words} prints "${kind}"`)
  return line
}

export const workFolder = async (): Promise<string> => folderOfFile('sherd-cli-')

export const set = (values: Readonly<Record<string, unknown>>): string[] =>
  Object.entries(values).flatMap(([key, value]) => [
    '--set',
    `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  ])

/** What makes a model tiny: 19 thousand parameters, 16 × 16 pixels, one thread. */
const tinyModelKeys = {
  'model.size': 'tiny',
  'model.width': 32,
  'model.depth': 1,
  'model.heads': 2,
  'decoder.width': 16,
  'decoder.depth': 1,
  'decoder.heads': 2,
  'model.imageSize': 16,
  'model.patchSize': 4,
  'train.threads': 1,
}
/** And a run of it. */
export const tinyKeys = { ...tinyModelKeys, 'train.batchSize': 8, 'log.pictureEverySteps': 0 }

type Keys = Readonly<Record<string, unknown>>
export const tiny = (more: Keys = {}): string[] => set({ ...tinyKeys, ...more })
/** For commands that use a model that they do not train. */
export const tinyModel = (more: Keys = {}): string[] => set({ ...tinyModelKeys, ...more })

/** Waits until `holds`, or fails after four minutes: a program that starts in one second takes a minute where many want the processor. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + 240_000; !holds(); await sleep(5))
    if (Date.now() > end) throw new Error(`Waited four minutes for ${what}`)
}

export const readLines = (path: string): string[] =>
  existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : []

/** The lines of a run's metrics, each of which must be JSON. */
export const metricsOf = (run: string): Metric[] =>
  readLines(join(run, 'metrics.jsonl')).map((line) => JSON.parse(line) as Metric)
