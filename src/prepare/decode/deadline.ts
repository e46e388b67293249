/**
 * Reading that does not end, as from a network mount whose server is gone. The system call cannot be taken back: it keeps one of libuv's
 * threads, and the process must be ended without waiting for it. So files are given up one by one, and the work when threads run out.
 */
import { SherdError } from '../../errors.ts'

export const late = Symbol('late')

/** What `work` gives, or `late` when that takes longer. `work` is not stopped by it. */
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

/** Whether reading this file was given up and has not ended: to try again would cost another thread. */
export const isGivenUp = (path: string): boolean => givenUp.has(path)

/** Whether something in this thread's charge does not end, so that the process will not end by itself. */
export const isStuck = (): boolean => stuck > 0

const USUAL_POOL = 4 // libuv's threads where nothing else is set

/**
 * Notes that reading a file was given up, until it ends after all. Throws `DATA_BROKEN` when so many do not end that no thread is left
 * to read others.
 */
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

/** Notes something else that does not end, such as a thread. */
export function noteStuck(): void {
  stuck++
}
