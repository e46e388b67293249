/** What a result was made by and from, as it is kept with it: whether the same command asks for it again, or what differs. */
import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { relative } from 'node:path'
import { sealOf } from './durable.ts'
import { filesBelow } from './fingerprint.ts'
import { readRegular } from './regular-file.ts'

/** A request: two equal ones have the same result. */
export interface Made {
  /** Such as `embed`. */
  readonly command: string
  /** Whatever changes the result: never threads, devices or how progress is shown. Plain values; those that are undefined are left out. */
  readonly options: Readonly<Record<string, unknown>>
  /** What it reads, by name: `images`, `model` → a fingerprint. */
  readonly inputs: Readonly<Record<string, string>>
}

export interface MadeRecord extends Made {
  readonly format: typeof FORMAT
  /** The version of sherd. */
  readonly sherd: string
  /** Of a draft: whether it is worth continuing. */
  readonly continues?: boolean
  /** Of a finished result: what tells whether it is still what was written. */
  readonly content?: string
  /** Of a finished result: what the command said about it. */
  readonly result?: unknown
}

const FORMAT = 'sherd-made/1'
const MOST_BYTES = 64 << 20

export const recordOf = (made: Made, more: Omit<MadeRecord, 'format' | keyof Made>): string =>
  `${JSON.stringify({ format: FORMAT, ...made, ...more } satisfies MadeRecord, null, 2)}\n`

/** Null if there is none, or none of this format. */
export function readRecord(path: string): MadeRecord | null {
  try {
    const record = JSON.parse(readRegular(path, MOST_BYTES)) as MadeRecord | null
    return record?.format === FORMAT && record.options && record.inputs ? record : null
  } catch {
    return null
  }
}

const shown = (value: unknown): string => (value === undefined ? 'not set' : JSON.stringify(value))

/** JSON with sorted keys. */
function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_, part: unknown) =>
      part && typeof part === 'object' && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
        : part,
    ) ?? 'undefined'
  )
}

/** How `now` differs from what was asked `before`, a line each; none if it is the same. */
export function differencesOf(before: Made, now: Made): string[] {
  if (before.command !== now.command) return [`command: ${before.command} → ${now.command}`]
  const keys = (a: object, b: object) => [...new Set([...Object.keys(a), ...Object.keys(b)])]
  const options = keys(before.options, now.options)
    .filter((key) => canonical(before.options[key]) !== canonical(now.options[key]))
    .map((key) => `${key}: ${shown(before.options[key])} → ${shown(now.options[key])}`)
  const inputs = keys(before.inputs, now.inputs)
    .filter((key) => before.inputs[key] !== now.inputs[key])
    .map((key) => `${key}: others than then, or changed since`)
  return [...options, ...inputs]
}

/** The checksum of files; of a folder the names and sizes in it, which take no reading of gigabytes, but for the file `except`. */
export function contentOf(paths: readonly string[], except: string): string {
  const hash = createHash('sha256')
  for (const path of paths)
    if (statSync(path).isDirectory()) {
      for (const file of filesBelow(path))
        if (relative(path, file) !== except) hash.update(`${relative(path, file)}\0${statSync(file).size}\n`)
    } else hash.update(sealOf(path).sha256)
  return hash.digest('hex')
}
