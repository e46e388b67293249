/**
 * Reads that never end, as from a network mount without its server. The system call cannot be cancelled: it occupies one of libuv's threads,
 * and the process must exit without waiting for it. So files time out one by one, and the run stops when threads run out.
 */
import { SherdError } from '../../errors.ts'

export const late = Symbol('late')

/** The result of `work`, or `late` after a time limit. `work` is not cancelled. */
export async function orLate<T>(work: Promise<T>, seconds: number): Promise<T | typeof late> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<typeof late>((resolve) => {
    timer = setTimeout(() => resolve(late), 1000 * seconds)
  })
  try {
    return await Promise.race([work, limit])
  } finally {
    clearTimeout(timer)
  }
}

let stuck = 0
const givenUp = new Set<string>()

/** Whether this file timed out and its read is still pending: another attempt would occupy another thread. */
export const isGivenUp = (path: string): boolean => givenUp.has(path)

/** Whether pending work would keep the process from exiting. */
export const isStuck = (): boolean => stuck > 0

const USUAL_POOL = 4 // libuv's threads where nothing else is set

/** Records a timed-out read until it ends. Throws `DATA_BROKEN` if no thread is left to read others. */
export function giveUpOn(path: string, work: Promise<unknown>): void {
  stuck++
  givenUp.add(path)
  const ended = () => {
    stuck--
    givenUp.delete(path)
  }
  work.then(ended, ended)
  const threads = Number(process.env.UV_THREADPOOL_SIZE ?? USUAL_POOL)
  if (stuck >= Math.max(1, threads - 1))
    throw new SherdError(
      'DATA_BROKEN',
      `Reading ${stuck} files has not ended, and no thread is left to read others: what they lie on does not answer. Look after it (is it a network mount?), then start again.`,
    )
}

/** Records other pending work, such as a thread. */
export function noteStuck(): void {
  stuck++
}
