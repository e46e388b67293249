/** Files that cannot be written. Where the disk is full the error says how much was needed, what is free, and what to do. */
import { existsSync, lstatSync, rmSync, statfsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { messageOf, SherdError } from '../errors.ts'

const full = { ENOSPC: 'the disk is full', EDQUOT: 'the quota of the disk is used up' } as const
const isFullCode = (code: unknown): code is keyof typeof full => typeof code === 'string' && code in full
/** Libraries that write files themselves give no code: they pass on the words of the system, or (usearch) say that a write was cut short. */
const words = /no space left on device|disk quota exceeded|failed to serialize into stream/i

/** Whether an error, or one that it was caused by, is of a full disk. */
export function isDiskFull(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if (isFullCode((at as NodeJS.ErrnoException).code) || words.test(at.message)) return true
  return false
}

/** Bytes of the file that an error is of. */
const needed = new WeakMap<Error, number>()

/** Writes a new file of so many bytes by `body`. After a failure what there is of it is removed. */
export function writing<T>(path: string, bytes: number, body: () => T): T {
  try {
    return body()
  } catch (error) {
    if (lstatSync(path, { throwIfNoEntry: false })?.isFile()) rmSync(path, { force: true })
    if (error instanceof Error) needed.set(error, bytes)
    throw error
  }
}

const sized = (bytes: number): string => {
  const [unit, by] = bytes >= 1e9 ? ['GB', 1e9] : bytes >= 1e6 ? ['MB', 1e6] : ['kB', 1e3]
  return `${(bytes / by).toFixed(1)} ${unit}`
}

/** Bytes that are free where a file belongs, or that no more files fit; null where that is not known. */
function roomAt(path: string): number | 'no more files' | null {
  let dir = path
  while (!existsSync(dir) && dirname(dir) !== dir) dir = dirname(dir)
  try {
    const { bavail, bsize, ffree, files } = statfsSync(dir)
    return files > 0 && ffree === 0 ? 'no more files' : bavail * bsize // some file systems do not count files
  } catch {
    return null
  }
}

const freeOf = (room: number | 'no more files'): string =>
  room === 'no more files'
    ? 'it takes no more files'
    : `${room < 1000 ? 'nothing is' : `${sized(room)} are`} free`

/** Why a file could not be written, with what to do where the disk is full. `next`: what, once there is room. */
export function whyNotWritten(path: string, error: unknown, next = 'run the same command again'): string {
  if (!isDiskFull(error)) return messageOf(error)
  const { code } = error as NodeJS.ErrnoException
  const bytes = needed.get(error as Error)
  const room = roomAt(resolve(path))
  const facts = [
    ...(bytes === undefined ? [] : [`${sized(bytes)} are needed`]),
    ...(room === null ? [] : [freeOf(room)]),
  ]
  const what = [isFullCode(code) ? full[code] : full.ENOSPC, facts.join(', ')].filter(Boolean).join(': ')
  return `${what}. Make room, then ${next}.`
}

/** `RUN`; an error of sherd stays as it is. `what`: the subject of the message, if it is not the path. */
export function cannotWrite(
  path: string,
  error: unknown,
  { what = resolve(path), next }: { readonly what?: string; readonly next?: string } = {},
): SherdError {
  if (error instanceof SherdError) return error
  return new SherdError('RUN', `Cannot write ${what}: ${whyNotWritten(path, error, next)}`, { cause: error })
}
