/** Tells whether files are as they were, without reading them: by size and time of change. */
import { createHash } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** Of files, in the given order; a missing one counts, too. */
export function fingerprintOfFiles(paths: readonly string[]): string {
  const hash = createHash('sha256')
  for (const path of paths) {
    const status = statSync(path, { throwIfNoEntry: false })
    hash.update(`${resolve(path)}\0${status ? `${status.size} ${status.mtimeMs}` : ''}\n`)
  }
  return hash.digest('hex').slice(0, 16)
}

/** The files below a folder, sorted, with `/`. */
export const filesBelow = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()

/** Of a file, or of all that is in a folder. */
export function fingerprintOf(path: string): string {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory()
  return fingerprintOfFiles(isFolder ? filesBelow(path) : [path])
}
