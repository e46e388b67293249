/**
 * A file of trace events that chrome://tracing and ui.perfetto.dev open: the JSON array form of
 * https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU. Every write overwrites the closing
 * bracket and puts it back behind the new events, so the file is complete whenever the process ends.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { resolve } from 'node:path'
import { cannotWrite } from '../files/cannot-write.ts'
import { writeDraft } from '../files/regular-file.ts'

/** One event. `ts` and `dur` are microseconds. X: a span, C: counters, M: the name of a track. */
export interface TraceEvent {
  readonly name: string
  readonly ph: 'X' | 'C' | 'M'
  readonly ts: number
  readonly dur?: number
  readonly pid: number
  readonly tid: number
  readonly args?: Readonly<Record<string, number | string>>
}

const end = '\n]\n'

/** Starts the file, replacing one that is there. Throws `RUN` when it cannot be written. */
export function startTraceFile(
  path: string,
  first: readonly TraceEvent[],
): (events: readonly TraceEvent[]) => void {
  const opening = `[\n${first.map((event) => JSON.stringify(event)).join(',\n')}`
  try {
    writeDraft(path, opening + end)
  } catch (error) {
    throw cannotWrite(path, error, { what: `the trace ${resolve(path)}` })
  }
  let length = Buffer.byteLength(opening)
  return (events) => {
    const text = events.map((event) => `,\n${JSON.stringify(event)}`).join('')
    const file = openSync(path, 'r+')
    try {
      writeSync(file, text + end, length)
    } catch (error) {
      throw cannotWrite(path, error, { what: `the trace ${resolve(path)}` })
    } finally {
      closeSync(file)
    }
    length += Buffer.byteLength(text)
  }
}
