/** A text about this machine for a report of a bug: versions, hardware, findings, environment; without personal names and paths. */
import { readFileSync } from 'node:fs'
import { homedir, hostname, release, totalmem, userInfo } from 'node:os'
import { packageRoot } from '../package-root.ts'
import type { Finding } from './finding.ts'
import { coreCount, cpuName, gpus } from './hardware.ts'
import { availableBytes } from './memory.ts'

export interface Personal {
  readonly home: string
  readonly user: string
  readonly host: string
  /** Where sherd is installed. */
  readonly root: string
}

/** Variables that change what sherd does, whole names or beginnings of them. No others are read: they may hold secrets. */
const variables =
  /^(LIBTORCH|SHERD_|OMP_|GOMP_|KMP_|MKL_|OPENBLAS_|BLIS_|ONEDNN_|DNNL_|ATEN_|TORCH_|CUDA_|NVIDIA_VISIBLE|LD_LIBRARY_PATH$|LD_PRELOAD$|UV_THREADPOOL_SIZE$|NODE_OPTIONS$|ORT_|VIPS_|MALLOC_|CXX$|CI$|TERM$|COLUMNS$|NO_COLOR$|FORCE_COLOR$|LANG$|LC_ALL$|TZ$)/

/** Folders whose names say nothing about a person. */
const PUBLIC = /^\/(?:usr|lib|lib64|opt|etc|proc|sys|dev|bin|sbin|nix|System|Library|Applications)(?:\/|$)/
const KEPT = 2 // last parts of other paths

const escaped = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')

/**
 * Home becomes `~`, sherd's folder `<sherd>`, names of user and host `<user>` and `<host>`; of other paths outside the system's folders the last
 * two parts stay.
 */
export function withoutNames(text: string, { home, user, host, root }: Personal): string {
  const named = (name: string, by: string) => (shown: string) =>
    // Words such as "root" are no one's name, and single letters are everywhere.
    name.length < 3 || name === 'root' || name === 'localhost'
      ? shown
      : shown.replaceAll(new RegExp(`(?<![\\w-])${escaped(name)}(?![\\w-])`, 'gi'), by)
  const replaced = [
    (shown: string) => (root.length > 1 ? shown.replaceAll(root, '<sherd>') : shown),
    (shown: string) =>
      home.length > 1 ? shown.replaceAll(new RegExp(`${escaped(home)}(?![\\w.-])`, 'g'), '~') : shown,
    (shown: string) => shown.replaceAll(/(\/(?:home|Users)\/)[^/\s:;,"']+/g, '$1<user>'),
    (shown: string) => shown.replaceAll(/([A-Za-z]:\\Users\\)[^\\\s:;,"']+/g, '$1<user>'),
    named(user, '<user>'),
    named(host, '<host>'),
    named(host.split('.')[0]!, '<host>'),
  ].reduce((shown, replace) => replace(shown), text)
  return replaced.replaceAll(/(?<![\w~>./])(?<!:(?=\/\/))\/[^\s:;,"'()]+/g, (path) => {
    const parts = path.split('/').filter(Boolean)
    return PUBLIC.test(path) || parts.length <= KEPT ? path : `…/${parts.slice(-KEPT).join('/')}`
  })
}

export interface ReportOptions {
  readonly findings: readonly Finding[]
  readonly version: string
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly personal?: Personal
}

const ofThisMachine = (): Personal => ({
  ...{ home: homedir(), user: nameOfUser(), host: hostname(), root: packageRoot() },
})

function nameOfUser(): string {
  try {
    return userInfo().username
  } catch {
    return '' // a container may run without an entry for its user
  }
}

function systemName(): string {
  try {
    const name = readFileSync('/etc/os-release', 'utf8').match(/^PRETTY_NAME="?([^"\n]+)/m)?.[1]
    return `${name ?? process.platform}, `
  } catch {
    return ''
  }
}

const gigabytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`

/** Markdown. */
export function reportOf({
  findings,
  version,
  env = process.env,
  personal = ofThisMachine(),
}: ReportOptions): string {
  const table = (rows: readonly (readonly [string, string])[]) =>
    rows.map(([name, value]) => `| ${name} | ${value.replaceAll('|', '\\|').replaceAll('\n', ' ')} |`)
  const found = findings.map(
    ({ name, status, value, fix }) =>
      table([[`${status} | ${name}`, fix === undefined ? value : `${value} → ${fix}`]])[0]!,
  )
  const set = Object.entries(env)
    .filter(([name, value]) => variables.test(name) && value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const constrained = process.constrainedMemory()
  const limit = constrained > 0 && constrained < totalmem() ? `, limited to ${gigabytes(constrained)}` : ''
  const lines = [
    '# Report for sherd',
    '',
    'What I did (the command):',
    '',
    'What happened (the message, from "error:" on):',
    '',
    'What I expected:',
    '',
    '## Machine',
    '',
    '| | |',
    '| --- | --- |',
    ...table([
      ['sherd', version],
      ['Node.js', `${process.versions.node}, V8 ${process.versions.v8}`],
      ['system', `${systemName()}${process.platform} ${release()}, ${process.arch}`],
      ['processor', `${cpuName()}, ${coreCount()} cores`],
      ['memory', `${gigabytes(totalmem())}${limit}, ${gigabytes(availableBytes())} free`],
      [
        'GPU',
        gpus()
          .map(({ name, memory }) => `${name}, ${memory}`)
          .join('; ') || 'none that nvidia-smi reports',
      ],
    ]),
    '',
    '## What "sherd doctor" found',
    '',
    '| | | |',
    '| --- | --- | --- |',
    ...found,
    '',
    '## Environment',
    '',
    ...(set.length === 0
      ? ['None of the variables that matter is set.']
      : ['| | |', '| --- | --- |', ...table(set.map(([name, value]) => [name, value!] as const))]),
    '',
  ]
  return withoutNames(lines.join('\n'), personal)
}
