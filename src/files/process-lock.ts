/**
 * A lock that is a file with the id of its process, for what is written without LibTorch. (Runs are locked by the operating system, which
 * only the addon can ask: run/lock.ts.) The lock of a process that has ended, or of another one with the same id, counts for nothing.
 */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'

interface Holder {
  readonly pid: number
  readonly host: string
  /** When the process began, in the kernel's ticks, since ids are used again; null where that is unknown. */
  readonly start: string | null
  readonly since: string
}

const held = new Set<string>()

/** Field 22 of Linux's /proc/PID/stat. The name in field 2 may hold spaces and brackets. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}

function isAlive({ pid, host, start }: Holder, path: string): boolean {
  if (host !== hostname()) return true // on a shared disk: who knows
  if (pid === process.pid) return held.has(path)
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const now = startOf(pid)
  return start === null || now === null || now === start
}

const YOUNG = 10_000 // ms in which a lock that says nothing is one that is being written

/** The text of a lock and whose it is; null if it is gone. Throws for a folder of this name and the like. */
function read(path: string): { readonly text: string; readonly holder: Holder | null } | null {
  try {
    const text = readFileSync(path, 'utf8')
    return { text, holder: parsed(text) }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  }
}

function parsed(text: string): Holder | null {
  try {
    return JSON.parse(text) as Holder | null
  } catch {
    return null
  }
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? ''

const isYoung = (path: string): boolean =>
  Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) < YOUNG

export type LockOutcome =
  | { readonly release: () => void; readonly heldBy: null }
  | { readonly release: null /** "process 12 on host since …" */; readonly heldBy: string }

/** Takes the lock, or says whose it is. Its folder must exist. */
export function lockByProcess(path: string): LockOutcome {
  const mine: Holder = {
    ...{ pid: process.pid, host: hostname(), start: startOf(process.pid), since: new Date().toISOString() },
  }
  for (;;)
    try {
      writeFileSync(path, JSON.stringify(mine), { flag: 'wx' })
      held.add(path)
      return { heldBy: null, release: () => void (held.delete(path) && rmSync(path, { force: true })) }
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') {
        rmSync(path, { force: true }) // created, and not written: the disk is full
        throw error
      }
      const found = read(path)
      if (found === null) continue
      const { holder, text } = found
      if (holder ? isAlive(holder, path) : isYoung(path))
        return {
          release: null,
          heldBy: holder
            ? `process ${holder.pid} on ${holder.host} since ${holder.since}`
            : 'another process',
        }
      removeLeft(path, text)
    }
}

/** Removes the lock of a dead process, but not one that another process has put in its place meanwhile. */
function removeLeft(path: string, text: string): void {
  const aside = `${path}.${process.pid}.left`
  try {
    renameSync(path, aside) // one of several processes succeeds
    const taken = readFileSync(aside, 'utf8')
    if (taken !== text) writeFileSync(path, taken, { flag: 'wx' })
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes(codeOf(error))) throw error
  } finally {
    rmSync(aside, { force: true })
  }
}
