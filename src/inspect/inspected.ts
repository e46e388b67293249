/** What is said about a file or a folder, for people and for programs. */
import { resolve } from 'node:path'
import type { ReadingLimits } from '../config/reading.ts'
import { messageOf, SherdError } from '../errors.ts'

/** What a file or folder can be, in the order of `kinds.ts`. */
const folders = [
  'run',
  'checkpoint',
  'adapter',
  'pack',
  'index',
  'huggingface',
  'graphs',
  'masked images',
  'rasters',
  'images',
] as const
const files = [
  'pointer',
  'features',
  'weights',
  'graph',
  'pytorch',
  'image',
  'raster',
  'special',
  'other',
] as const
export const kindNames = [...folders, ...files] as const
export type KindName = (typeof kindNames)[number]

export type Row = readonly [label: string, text: string]

export interface Inspected {
  /** As it was named, or below the folder that was. */
  readonly path: string
  readonly what: KindName
  /** Such as `JPEG image`. */
  readonly title: string
  /** Whether sherd takes it for what it is. */
  readonly usable: boolean
  /** Why not. */
  readonly reason: string | null
  /** For people. */
  readonly rows: readonly Row[]
  /** For programs. */
  readonly facts: Readonly<Record<string, unknown>>
  /** What is worth knowing beside. */
  readonly notes: readonly string[]
  /** Commands that take it, which begin with `sherd`. */
  readonly next: readonly string[]
}

/** What a describer says. */
export type Description = Omit<Inspected, 'path' | 'what' | 'usable'>

/** What is not given is not said. */
export const describe = (title: string, said: Partial<Omit<Description, 'title'>>): Description => ({
  ...{ title, reason: null, rows: [], facts: {}, notes: [], next: [] },
  ...said,
})
/** Without those that there is nothing to say in. */
export const rowsOf = (...rows: readonly (Row | false | null | undefined)[]): Row[] =>
  rows.filter((row) => row !== false && row != null)

export interface InspectOptions {
  readonly limits: ReadingLimits
  /** Gets each file of a folder of many. */
  readonly onFile?: (file: Inspected) => void
  readonly onProgress?: (done: number, of: number) => void
  readonly signal?: AbortSignal
}

/** A file or a folder as recognisers see it. */
export interface Place {
  readonly path: string
  readonly isFolder: boolean
  /** The first bytes of a file. */
  readonly start: Buffer
}

/** An error's message, without the file that it begins with. Errors that only sherd itself makes are thrown on. */
export function reasonFrom(error: unknown, path = ''): string {
  if (error instanceof SherdError && error.code === 'BUG') throw error
  const message = messageOf(error)
  const rest = [path, resolve(path)].find((each) => path !== '' && message.startsWith(`${each}: `))
  return rest === undefined ? message : message.slice(rest.length + 2)
}

export const sentence = (note: string): string => `${note[0]!.toUpperCase()}${note.slice(1)}.`
export const grouped = (n: number): string => n.toLocaleString('en-US')
export const sized = (width: number, height: number): string => `${grouped(width)} × ${grouped(height)}`
export const countOf = (n: number, one: string): string => `${grouped(n)} ${one}${n === 1 ? '' : 's'}`

const MOST_NAMES = 8
/** A list of names, cut where it is long. */
export const listed = (names: readonly string[], most = MOST_NAMES): string =>
  names.length > most
    ? `${names.slice(0, most).join(', ')} and ${grouped(names.length - most)} more`
    : names.join(', ')

/** Four significant digits: `1,318`, `0.4532`. */
export const figure = (value: number): string => {
  const rounded = Number(value.toPrecision(4))
  return Math.abs(rounded) >= 1e6 || (rounded !== 0 && Math.abs(rounded) < 1e-3)
    ? String(rounded)
    : rounded.toLocaleString('en-US', { maximumSignificantDigits: 4 })
}
/** Bytes as a person reads them. */
export const bytesOf = (bytes: number): string =>
  bytes >= 1e9
    ? `${figure(bytes / 1e9)} GB`
    : bytes >= 1e6
      ? `${figure(bytes / 1e6)} MB`
      : `${figure(bytes / 1e3)} kB`
