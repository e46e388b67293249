/** How many cores other programs use while something is measured: what is measured then is slower than the machine is. */
import { cpus } from 'node:os'
import { coreCount } from './hardware.ts'

/** Seconds of all cores together since the machine was started, and of this process. */
interface Clock {
  readonly at: number
  readonly idle: number
  readonly own: number
}

function read(): Clock {
  const own = process.cpuUsage()
  return {
    at: performance.now() / 1000,
    idle: cpus().reduce((all, { times }) => all + times.idle, 0) / 1000,
    own: (own.user + own.system) / 1e6,
  }
}

/** Cores that were neither idle nor used by this process; of a container with fewer cores than the machine, those that it lacked. */
export const othersBetween = (before: Clock, after: Clock, cores: number): number => {
  const seconds = after.at - before.at
  const left = (after.idle - before.idle + after.own - before.own) / Math.max(seconds, 1e-3)
  return Math.min(cores, Math.max(0, cores - left))
}

/** With what `body` returns. */
export function withOthers<T>(
  body: () => T,
  cores = coreCount(),
): { readonly result: T; readonly others: number } {
  const before = read()
  const result = body()
  return { result, others: othersBetween(before, read(), cores) }
}

const WAIT = 300 // ms: the system counts in hundredths of a second

/** While this process does nothing. */
export const othersNow = (): number =>
  withOthers(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT)).others

/** Of the cores; more than it, twice in a row, is load. */
const MUCH = 0.2

/** Null where other programs leave the cores alone. A moment's work is no load: it must be there in each of the measurements. */
export const loadOf = (others: readonly number[], cores = coreCount()): number | null => {
  const least = Math.min(...others)
  return least > MUCH * cores ? others.reduce((a, b) => a + b, 0) / others.length : null
}
