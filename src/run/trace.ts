/**
 * A profile of the first steps of a run: spans and counters in a trace file, and where the time of a step goes. Bounded:
 * after those steps only what happens between steps (checkpoints, pictures) is recorded, `mostBetween` times.
 */
import { synchronize } from '../tensor/context.ts'
import type { Device } from '../tensor/tensor.ts'
import type { Span } from '../train/span.ts'
import { startTraceFile, type TraceEvent } from './trace-file.ts'

export interface TraceOptions {
  readonly path: string
  /** Steps to record. */
  readonly steps: number
  /** Steps before them: the first ones of a process find neither memory nor compiled kernels ready. */
  readonly warmUp: number
  /** A GPU still works when a call returns, so a span there waits for it at both ends. */
  readonly device: Device
}

/** Where the time of the recorded steps went. */
export interface Profile {
  readonly path: string
  readonly steps: number
  /** Mean. */
  readonly stepSeconds: number
  /** Share of the steps' time by the name of the part; `other` is what no part covers. */
  readonly shares: Readonly<Record<string, number>>
}

export interface Trace {
  /** A span named `step` is a step; the spans directly in it are its parts. */
  readonly span: Span
  /** Records counters after a step that was recorded; `read` is not called otherwise. */
  counters(read: () => Readonly<Record<string, number>>): void
  profile(): Profile
}

const mostBetween = 1000

/** Starts the trace file. Throws `RUN` when it cannot be written. */
export function openTrace({ path, steps, warmUp, device }: TraceOptions): Trace {
  const track = { pid: process.pid, tid: 1 }
  const append = startTraceFile(path, [
    { name: 'process_name', ph: 'M', ts: 0, ...track, args: { name: 'sherd' } },
    { name: 'thread_name', ph: 'M', ts: 0, ...track, args: { name: 'training' } },
  ])
  const finished: TraceEvent[] = []
  const open: string[] = []
  const seconds = new Map<string, number>()
  let begun = 0
  let recorded = 0
  let between = 0
  let isPassedOver = false // within a step that is not recorded

  const now = () => {
    if (device !== 'cpu') synchronize(device)
    return performance.now() * 1000
  }
  const timed: Span = (name, body) => {
    open.push(name)
    const started = now()
    return settled(body, () => {
      const duration = now() - started
      open.pop()
      finished.push({ name, ph: 'X', ts: started, dur: duration, ...track })
      const isPart = open.length === 1 && open[0] === 'step'
      if (isPart || name === 'step') seconds.set(name, (seconds.get(name) ?? 0) + duration / 1e6)
      if (name === 'step') recorded++
      if (open.length === 0) append(finished.splice(0))
    })
  }
  return {
    span(name, body) {
      if (isPassedOver) return body()
      if (open.length > 0) return timed(name, body)
      if (name !== 'step') return between++ < mostBetween ? timed(name, body) : body()
      begun++
      if (begun > warmUp && begun <= warmUp + steps) return timed(name, body)
      isPassedOver = true
      return settled(body, () => {
        isPassedOver = false
      })
    },
    counters(read) {
      if (begun <= warmUp || begun > warmUp + steps) return
      const ts = performance.now() * 1000
      append(
        Object.entries(read()).map(([name, value]) => ({ name, ph: 'C', ts, ...track, args: { value } })),
      )
    },
    profile() {
      const { step: whole = 0, ...parts } = Object.fromEntries(seconds)
      const covered = Object.values(parts).reduce((a, b) => a + b, 0)
      const shares = Object.entries({ ...parts, other: whole - covered }).map(([name, s]) => [
        name,
        s / whole,
      ])
      return {
        path,
        steps: recorded,
        stepSeconds: recorded === 0 ? 0 : whole / recorded,
        shares: recorded === 0 ? {} : Object.fromEntries(shares),
      }
    },
  }
}

/** Runs `body`, then `after`: when it has thrown, too, and when a promise that it gives has settled. */
function settled<T>(body: () => T, after: () => void): T {
  let result: T
  try {
    result = body()
  } catch (error) {
    after()
    throw error
  }
  if (result instanceof Promise) return result.finally(after) as T
  after()
  return result
}
