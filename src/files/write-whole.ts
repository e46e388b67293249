/** Atomic writes, and folders for them. */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, extname, resolve } from 'node:path'
import { SherdError } from '../errors.ts'
import { cannotWrite, whyNotWritten } from './cannot-write.ts'
import { flush } from './durable.ts'
import { writeDraft } from './regular-file.ts'

/** Writes a file atomically and durably. Throws `RUN`. */
export function writeWhole(path: string, data: string | Uint8Array): void {
  try {
    writeDraft(`${path}.writing`, data)
    renameSync(`${path}.writing`, path)
    flush(dirname(path))
  } catch (error) {
    rmSync(`${path}.writing`, { force: true })
    throw cannotWrite(path, error)
  }
}

/** Makes the folder of a file and checks that it can be written, before long computations. Throws `RUN`. */
export function expectWritable(given: string): void {
  const path = resolve(given)
  makeFolder(dirname(path))
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory())
    throw new SherdError('RUN', `Cannot write ${path}: it is a folder.`)
  const draft = `${path}.${randomUUID()}.writing` // others may check the same place at the same moment
  try {
    writeDraft(draft, '')
  } catch (error) {
    throw cannotWrite(path, error)
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Throws `RUN`. */
export function makeFolder(dir: string): void {
  // Level by level: Node's recursive mkdir never returns in file systems that fail with ENOENT, such as /proc.
  if (existsSync(dir)) {
    if (statSync(dir).isDirectory()) return
    throw new SherdError(
      'RUN',
      `Cannot create the folder ${resolve(dir)}: there is a file of this name. Choose another one.`,
    )
  }
  makeFolder(dirname(dir))
  try {
    mkdirSync(dir)
  } catch (error) {
    throw new SherdError('RUN', `Cannot create the folder ${dir}: ${whyNotWritten(dir, error)}`, {
      cause: error,
    })
  }
}

/** The extension of `--out`. Throws `USAGE` for others than `endings`. */
export function endingOf<T extends string>(path: string, endings: readonly T[]): T {
  const found = endings.find((ending) => extname(path).toLowerCase() === ending)
  if (!found) throw new SherdError('USAGE', `Expected --out to end in ${endings.join(' or ')}, got ${path}`)
  return found
}
