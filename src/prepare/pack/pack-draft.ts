/** Temporary folders of packs in progress, and removal of those that killed processes have left. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** Names the owner; removed before the folder is renamed. */
const OWNER = 'packing.json'

interface Owner {
  readonly host: string
  readonly pid: number
}

/** Makes this process's folder beside `out`, and removes those of dead processes. */
export function makeDraft(out: string): string {
  mkdirSync(dirname(out), { recursive: true })
  removeLeft(out)
  const draft = `${out}.packing-${process.pid}`
  rmSync(draft, { recursive: true, force: true }) // of an earlier process with this id
  mkdirSync(draft)
  const owner: Owner = { host: hostname(), pid: process.pid }
  writeFileSync(join(draft, OWNER), JSON.stringify(owner))
  return draft
}

/** Marks the folder as complete. */
export const finishDraft = (draft: string): void => rmSync(join(draft, OWNER))

function removeLeft(out: string): void {
  const dir = dirname(out)
  const prefix = `${basename(out)}.packing-`
  for (const name of readdirSync(dir)) {
    const pid = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : 0
    const draft = join(dir, name)
    if (Number.isSafeInteger(pid) && pid > 0 && isLeft(draft, pid))
      rmSync(draft, { recursive: true, force: true })
  }
}

/** Whether a folder is of a dead process of this machine. Processes of other machines (on a shared disk) are assumed alive. */
function isLeft(draft: string, pid: number): boolean {
  try {
    if (existsSync(join(draft, OWNER))) {
      const owner = JSON.parse(readFileSync(join(draft, OWNER), 'utf8')) as Partial<Owner> | null
      if (owner?.host !== hostname() || owner.pid !== pid) return false
    }
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}
