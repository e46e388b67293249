/**
 * `overwrite`: a new run in the place of another one. The old one is moved aside when the new folder is made, and removed once the new run has
 * taken its first step; until then it comes back, also after a crash, when the next run in this place begins.
 */
import { existsSync, lstatSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { listCheckpoints } from '../checkpoint/retention.ts'
import { isBlank, isRun, runPaths } from '../checkpoint/run-folder.ts'
import { SherdError } from '../errors.ts'
import { flush } from '../files/durable.ts'
import { lockRun } from './lock.ts'

/** Where the old run is meanwhile. */
export const asidePath = (out: string): string =>
  join(dirname(resolve(out)), `.${basename(resolve(out))}.replaced-by-sherd`)

export interface Replacement {
  moveAside(): void
  /** Whether the old run may still come back. */
  isAside(): boolean
  /** The new run has begun: removes the old one. */
  drop(): void
  /** Brings the old one back, unless it was dropped. */
  restore(): void
}

/** What a run writes; drafts have `.writing` behind their names. */
const own = new Set([...Object.values(runPaths('')), 'samples', 'checkpoints'])

/**
 * Locks the old run. `used`: what the new one reads. Throws `USAGE` for a folder that is no run, or has files that are no run's and would be lost; `RUN` where it is being
 * written. Null if there is nothing to replace.
 */
export function replaceRun(out: string, used: readonly (string | null | undefined)[]): Replacement | null {
  if (isBlank(out)) return null
  const full = resolve(out)
  const lost = used.find((path) => path && `${resolve(path)}${sep}`.startsWith(full + sep))
  if (lost)
    throw new SherdError(
      'USAGE',
      `--overwrite would remove ${lost}, which the new run uses: choose another folder for --out.`,
    )
  if (!isRun(out))
    throw new SherdError(
      'USAGE',
      `${full} is no run, so --overwrite does not replace it: choose another folder for --out.`,
    )
  if (lstatSync(full).isSymbolicLink())
    throw new SherdError(
      'USAGE',
      `${full} is a link, so --overwrite does not replace it: give the folder itself.`,
    )
  const others = readdirSync(out).filter((name) => !own.has(name.replace(/\.writing$/, '')))
  if (others.length > 0)
    throw new SherdError(
      'USAGE',
      `${full} also holds what is not of the run, and would be lost with it: ${others.slice(0, 5).join(', ')}. Move that away, or choose another folder for --out.`,
    )
  const lock = lockRun(out)
  const aside = asidePath(out)
  let state: 'there' | 'aside' | 'settled' = 'there'
  return {
    moveAside() {
      renameSync(out, aside)
      flush(dirname(full))
      state = 'aside'
    },
    isAside: () => state === 'aside',
    drop() {
      if (state !== 'aside') return
      state = 'settled'
      rmSync(aside, { recursive: true, force: true })
      lock.release()
    },
    restore() {
      if (state === 'aside') bringBack(out)
      if (state !== 'settled') lock.release()
      state = 'settled'
    },
  }
}

function bringBack(out: string): void {
  rmSync(out, { recursive: true, force: true })
  renameSync(asidePath(out), out)
  flush(dirname(resolve(out)))
}

/**
 * After a process that ended between: the old run comes back if the new one has not begun, else it is removed. Throws `RUN` where that process
 * still works.
 */
export function settleReplacement(out: string): void {
  const aside = asidePath(out)
  if (!existsSync(aside)) return
  const { metrics, checkpoints } = runPaths(out)
  const lock = existsSync(out) ? lockRun(out) : null
  try {
    if (existsSync(metrics) || listCheckpoints(checkpoints).length > 0)
      rmSync(aside, { recursive: true, force: true })
    else bringBack(out)
  } finally {
    lock?.release()
  }
}
