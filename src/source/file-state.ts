/** Detects changed files without reading pixels. */
import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fingerprint, type ImageSource } from './open.ts'

/** For each sample the size and time of its files, or the checksums of its pack; '' for missing files. */
export function statesOf(source: ImageSource): string[] {
  if (source.kind === 'packed') return source.files.map(() => source.pack.content)
  const known = new Map<string, string>()
  const stateOf = (file: string): string => {
    const before = known.get(file)
    if (before !== undefined) return before
    const status = statSync(join(source.dir, file), { throwIfNoEntry: false })
    const state = status ? `${status.size} ${status.mtimeMs}` : ''
    known.set(file, state)
    return state
  }
  if (source.kind === 'images') return source.files.map(stateOf)
  return source.rasters.samples.map(({ frames }) => {
    const files = new Set(frames.flatMap(({ bands }) => bands.map(({ file }) => file)))
    return [...files].map(stateOf).join(', ')
  })
}

/** A hash of where a source is, of its list of files and of their states: the same as long as nothing in it has changed. */
export const stateOfSource = (source: ImageSource): string =>
  createHash('sha256')
    .update([resolve(source.dir), fingerprint(source), ...statesOf(source)].join('\n'))
    .digest('hex')
    .slice(0, 16)
