/** The folder that a pack is written to before it gets its name, and what killed processes have left of such folders. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** Says whose it is; it is gone before the folder gets its name. */
const OWNER = 'packing.json'

interface Owner {
  readonly host: string
  readonly pid: number
}

/** Makes the folder of this process beside `out`, and removes those that processes have left which are no more. */
export function makeDraft(out: string): string {
  mkdirSync(dirname(out), { recursive: true })
  removeLeft(out)
  const draft = `${out}.packing-${process.pid}`
  rmSync(draft, { recursive: true, force: true }) // of another process that had this number
  mkdirSync(draft)
  const owner: Owner = { host: hostname(), pid: process.pid }
  writeFileSync(join(draft, OWNER), JSON.stringify(owner))
  return draft
}

/** What is in it is whole. */
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

/** Whether a folder was begun by a process of this machine that has ended. Of another machine's, on a shared disk, nothing is known. */
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
