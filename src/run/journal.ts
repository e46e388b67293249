/** `metrics.jsonl`, `skipped.jsonl` and `journal.jsonl`: one JSON object per line, readable during the run. */
import { existsSync, lstatSync, readSync } from 'node:fs'
import { messageOf, SherdError } from '../errors.ts'
import { cannotWrite } from '../files/cannot-write.ts'
import { appendRegular, readRegular, withRegular } from '../files/regular-file.ts'
import { writeWhole } from '../files/write-whole.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { StepEvent } from '../train/events.ts'
import type { ProbeMetric } from './online-probe.ts'

/** A line of `metrics.jsonl`. Memory is this process's resident set in bytes. */
export interface Metric
  extends Omit<StepEvent, 'kind' | 'parts' | 'metrics'>,
    Partial<Pick<StepEvent, 'parts' | 'metrics'>> {
  readonly residentBytes: number
  readonly time: string
}

type Line = Readonly<Record<string, unknown>>

function textOf(path: string): string {
  try {
    return readRegular(path)
  } catch (error) {
    throw new SherdError('RUN', `Cannot read ${path}: ${messageOf(error)}`, { cause: error })
  }
}

/** Reads JSON lines. Lines that are not objects, such as one truncated by a crash, are skipped. */
function readLines(path: string): Line[] {
  if (!existsSync(path)) return []
  return textOf(path)
    .split('\n')
    .flatMap((line) => {
      try {
        const value = line ? (JSON.parse(line) as unknown) : null
        return typeof value === 'object' && value !== null && !Array.isArray(value) ? [value as Line] : []
      } catch {
        return []
      }
    })
}

const readAll = (path: string) =>
  readLines(path).filter(({ step }) => typeof step === 'number') as unknown as (Metric | ProbeMetric)[]
const isProbe = (line: Metric | ProbeMetric): line is ProbeMetric => 'kind' in line && line.kind === 'probe'

export const readMetrics = (path: string): Metric[] =>
  readAll(path).filter((line): line is Metric => !isProbe(line))

export const readProbes = (path: string): ProbeMetric[] => readAll(path).filter(isProbe)

/** The files in `skipped.jsonl`, which a resumed run does not list again. */
export const readSkipped = (path: string): SkippedFile[] =>
  readLines(path).filter(({ file }) => typeof file === 'string') as unknown as SkippedFile[]

/** Removes lines after the checkpoint that a run resumes from, since those steps are logged again. */
export function rewindMetrics(path: string, step: number): void {
  if (!existsSync(path)) return
  const kept = readAll(path).filter((metric) => metric.step <= step)
  writeWhole(path, kept.map((metric) => `${JSON.stringify(metric)}\n`).join(''))
}

/** Whether a file ends in the middle of a line. */
function endsOpen(path: string): boolean {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return false
  return withRegular(path, (file, size) => {
    if (size === 0) return false
    const last = Buffer.alloc(1)
    readSync(file, last, 0, 1, size - 1)
    return last[0] !== 0x0a
  })
}

/** Throws `RUN` when the disk is full or the folder is gone. */
function appendLine(path: string, line: object): void {
  try {
    const end = endsOpen(path) ? '\n' : '' // terminates a line that was truncated by a crash
    appendRegular(path, `${end}${JSON.stringify(line)}\n`)
  } catch (error) {
    throw cannotWrite(path, error, { next: 'continue with --resume' })
  }
}

export const appendSkipped = (path: string, file: SkippedFile): void => appendLine(path, file)

export function appendProbe(path: string, metric: ProbeMetric): void {
  appendLine(path, metric)
}

/** Omits `parts` of a loss with a single part, and `metrics` if there are none. */
export function appendMetric(path: string, { kind: _, parts, metrics, ...step }: StepEvent): Metric {
  const more = {
    ...(Object.keys(parts).length > 1 && { parts }),
    ...(Object.keys(metrics).length > 0 && { metrics }),
  }
  const metric: Metric = {
    ...step,
    ...more,
    residentBytes: process.memoryUsage.rss(),
    time: new Date().toISOString(),
  }
  appendLine(path, metric)
  return metric
}

/** A line of `journal.jsonl`: something that happened to a run, such as `resumed` or `rolled back`. */
export interface Note {
  readonly event: string
  readonly [key: string]: unknown
}

export function appendNote(path: string, note: Note): void {
  appendLine(path, { time: new Date().toISOString(), ...note })
}

export const readNotes = (path: string): Note[] =>
  readLines(path).filter(({ event }) => typeof event === 'string') as unknown as Note[]
