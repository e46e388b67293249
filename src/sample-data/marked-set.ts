/**
 * Writes a generated set of files into a folder of its own. A marker file, written last, describes the set and shows that it is complete.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { interrupted, messageOf, SherdError } from '../errors.ts'
import { cannotWrite } from '../files/cannot-write.ts'
import { isSeed } from '../random/draws.ts'

/** Written last. */
const MARKER = 'sample-data.json'
/** Items being compressed while the next is drawn. */
const IN_FLIGHT = 4

export interface MarkedSet {
  /** A new or empty folder, or one that already holds this set. */
  readonly dir: string
  /** Everything that determines the files' contents; JSON. */
  readonly about: Readonly<Record<string, unknown>>
  /** Below `dir`. */
  readonly folders: readonly string[]
  readonly count: number
  readonly write: (number: number) => Promise<unknown>
  /** Called after every item. */
  readonly onProgress?: ((done: number, count: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface SetNumbers {
  readonly count: number
  readonly size: number
  readonly seed: number
}

/** Throws `VALUE` for a count below `least`, or an invalid size or seed. */
export function checkSetNumbers({ count, size, seed }: SetNumbers, least: number): void {
  if (!Number.isSafeInteger(count) || count < least)
    throw new SherdError(
      'VALUE',
      `Sample data: expected count, an integer of at least ${least}, got ${count}`,
    )
  if (!Number.isSafeInteger(size) || size < 16 || size > 1024)
    throw new SherdError('VALUE', `Sample data: expected size, an integer from 16 to 1024, got ${size}`)
  if (!isSeed(seed))
    throw new SherdError('VALUE', `Sample data: expected seed, an integer in [0, 2^53), got ${seed}`)
}

/** Whether a folder holds a complete sample set, whichever. */
export const isSampleSet = (dir: string): boolean => existsSync(join(dir, MARKER))

async function entriesOf(dir: string): Promise<string[]> {
  try {
    return await readdir(dir)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new SherdError('SOURCE', `Sample data: cannot use "${dir}" as a folder: ${messageOf(cause)}`, {
      cause,
    })
  }
}

/** Whether `dir` already holds the set that `marker` describes. Throws if it holds anything else. */
async function isComplete(dir: string, marker: string): Promise<boolean> {
  const entries = await entriesOf(dir)
  if (entries.length === 0) return false
  const advice = 'Give another folder, or delete this one first.'
  if (!entries.includes(MARKER))
    throw new SherdError(
      'SOURCE',
      `Sample data: "${dir}" is not empty and not a complete sample set. ${advice}`,
    )
  const found = await readFile(join(dir, MARKER), 'utf8')
  if (found !== marker)
    throw new SherdError(
      'SOURCE',
      `Sample data: "${dir}" holds another sample set. Expected ${marker.trim()}, found ${found.trim()}. Give another folder, or replace this one (sherd sample-data --overwrite).`,
    )
  return true
}

/** Does nothing if `dir` already holds exactly this set. */
export async function writeMarkedSet({
  dir,
  about,
  folders,
  count,
  write,
  onProgress,
  signal,
}: MarkedSet): Promise<void> {
  const marker = `${JSON.stringify(about)}\n`
  if (await isComplete(dir, marker)) return
  let next = 0
  let done = 0
  const failed = (cause: unknown): never => {
    next = count
    throw cannotWrite(dir, cause, { what: `sample data to ${dir}` })
  }
  const work = async () => {
    while (next < count) {
      if (signal?.aborted) throw interrupted({ done, of: count, unit: 'items', continues: false })
      await write(next++).catch(failed)
      onProgress?.(++done, count)
    }
  }
  for (const folder of folders) await mkdir(join(dir, folder), { recursive: true }).catch(failed)
  await Promise.all(Array.from({ length: IN_FLIGHT }, work))
  await writeFile(join(dir, MARKER), marker).catch(failed)
}
