/** Why a file cannot be a sample: the words that are shown beside its path. */
import { messageOf, SherdError } from '../../errors.ts'

/** Throws the `DECODE` error of a file that cannot be used. `reason` does not name the file. */
export function refuse(reason: string): never {
  throw new SherdError('DECODE', reason)
}

/** The last line of an error's message that says anything: what libvips says is many lines that lead up to one. */
export const lastLine = (error: unknown): string =>
  messageOf(error)
    .split('\n')
    .map((line) => line.trim())
    .findLast((line) => line !== '') ?? ''

/**
 * The reason in one line. Errors of the file system and refusals are unchanged; of libvips' messages, which may have many lines, the
 * last one.
 */
export function reasonOf(error: unknown): string {
  const path = (error as NodeJS.ErrnoException | null)?.path
  if (path?.includes('\ufffd')) return 'its name, or that of its folder, is not valid UTF-8: rename it'
  const isOurs = error instanceof SherdError
  const isFileSystem = error instanceof Error && 'syscall' in error
  if (isOurs || isFileSystem) return messageOf(error)
  const said = lastLine(error)
  return said && said !== 'Unknown error' ? `cannot be decoded (${said})` : 'cannot be decoded'
}
