/** Lists and removes checkpoints, and cleans up after interrupted writes and removals. */
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

export interface Keeping {
  /** Number of latest regular checkpoints to keep, besides the newest of any kind. */
  readonly keep: number
  /** Interval of regular checkpoints; default 1. Others, such as those of an interruption, do not count. */
  readonly everySteps?: number
  /** Steps that are multiples of it are kept for good; default 0: none. */
  readonly keepEverySteps?: number
}

export interface Listed {
  readonly step: number
  readonly path: string
}

/** The complete checkpoints of a run, oldest first. */
export function listCheckpoints(dir: string): Listed[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir)
    .flatMap((name) => {
      const step = name.match(/^step-(\d{8,})$/)?.[1]
      return step ? [{ step: Number(step), path: join(dir, name) }] : []
    })
    .sort((a, b) => a.step - b.step)
}

/** `all`: oldest first. */
export function isExpired(
  step: number,
  all: readonly Listed[],
  { keep, everySteps = 1, keepEverySteps = 0 }: Keeping,
): boolean {
  if (keepEverySteps > 0 && step % keepEverySteps === 0) return false
  const due = all.filter((each) => each.step % everySteps === 0).slice(-keep)
  return all.at(-1)?.step !== step && due.every((each) => each.step !== step)
}

/** Renames before removing, so that an interruption leaves no partial checkpoint. */
export function removeCheckpoint(path: string): void {
  const leaving = join(dirname(path), `.removing-${basename(path)}`)
  renameSync(path, leaving)
  rmSync(leaving, { recursive: true, force: true })
}

/** Removes the remains of an interrupted save, and restores a checkpoint that was being replaced. */
export function tidy(dir: string): void {
  for (const name of readdirSync(dir)) {
    const [, doing, checkpoint] = name.match(/^\.(writing|removing|replaced)-(.*)$/u) ?? []
    if (doing === undefined || checkpoint === undefined) continue
    if (doing === 'replaced' && !existsSync(join(dir, checkpoint)))
      renameSync(join(dir, name), join(dir, checkpoint))
    else rmSync(join(dir, name), { recursive: true, force: true })
  }
}

/** Renames a checkpoint to `damaged-step-…` or `suspect-step-…`. Returns its new path. */
export function setAside(path: string, as: 'damaged' | 'suspect' = 'damaged'): string {
  const base = join(dirname(path), `${as}-${basename(path)}`)
  let to = base
  for (let again = 2; existsSync(to); again++) to = `${base}-${again}`
  renameSync(path, to)
  return to
}
