/** Which checkpoints there are, which of them stay, and what an interrupted write or removal has left behind. */
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

export interface Keeping {
  /** The latest checkpoints that stay, of those that are saved every so many steps; and the newest, whenever it was saved. */
  readonly keep: number
  /** How often a checkpoint is due; default 1. Others do not count, or a run that was stopped would keep fewer. */
  readonly everySteps?: number
  /** Those whose step is a multiple of it stay, too; 0 for none. Default 0. */
  readonly keepEverySteps?: number
}

export interface Listed {
  readonly step: number
  readonly path: string
}

/** The checkpoints of a run, oldest first. What was interrupted while it was written is not among them. */
export function listCheckpoints(dir: string): Listed[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir)
    .flatMap((name) => {
      const step = name.match(/^step-(\d{8,})$/)?.[1]
      return step ? [{ step: Number(step), path: join(dir, name) }] : []
    })
    .sort((a, b) => a.step - b.step)
}

/** Whether the checkpoint of `step` need not stay. `all`: oldest first. */
export function isExpired(
  step: number,
  all: readonly Listed[],
  { keep, everySteps = 1, keepEverySteps = 0 }: Keeping,
): boolean {
  if (keepEverySteps > 0 && step % keepEverySteps === 0) return false
  const due = all.filter((each) => each.step % everySteps === 0).slice(-keep)
  return all.at(-1)?.step !== step && due.every((each) => each.step !== step)
}

/** Removes a checkpoint. It is renamed first, so that no half checkpoint has a checkpoint's name. */
export function removeCheckpoint(path: string): void {
  const leaving = join(dirname(path), `.removing-${basename(path)}`)
  renameSync(path, leaving)
  rmSync(leaving, { recursive: true, force: true })
}

/** Removes what an interrupted save has left, and puts a checkpoint back that was being replaced. */
export function tidy(dir: string): void {
  for (const name of readdirSync(dir)) {
    const [, doing, checkpoint] = name.match(/^\.(writing|removing|replaced)-(.*)$/u) ?? []
    if (doing === undefined || checkpoint === undefined) continue
    if (doing === 'replaced' && !existsSync(join(dir, checkpoint)))
      renameSync(join(dir, name), join(dir, checkpoint))
    else rmSync(join(dir, name), { recursive: true, force: true })
  }
}

/** Moves a checkpoint out of the way, without losing it: `damaged-step-…`. Returns its new path. */
export function setAside(path: string, as: 'damaged' | 'suspect' = 'damaged'): string {
  const base = join(dirname(path), `${as}-${basename(path)}`)
  let to = base
  for (let again = 2; existsSync(to); again++) to = `${base}-${again}`
  renameSync(path, to)
  return to
}
