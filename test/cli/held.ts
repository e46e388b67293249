// A command that waits at a place of its work until the test lets it continue: what a test does there (signals, kills, other commands) falls between the
// same two steps on every machine. A module that the process loads first lays itself round the functions that write files.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { folderOfFile } from '../after-file.ts'
import { type Running, start, until } from './sherd.ts'

/**
 * Where it waits: as soon as a file (below `cwd`; `*` ends a name of which only the beginning is known) holds something, or so many lines; a
 * folder is there; or behind so many calls that change files.
 */
export type Place = { readonly path: string; readonly lines?: number } | { readonly calls: number }

export interface Held extends Running {
  /** Settles when the process waits. */
  readonly reached: Promise<void>
  /** The id of the process that waits, which may be one that the command has started. */
  process(): number
  /** Lets it, and what the command starts later, run on. */
  letGo(): void
}

const hook = (place: Place, dir: string) => `
  import fs from 'node:fs'
  import { syncBuiltinESMExports } from 'node:module'
  import { basename, dirname, join } from 'node:path'
  import { isMainThread } from 'node:worker_threads'
  const { existsSync, readdirSync, readFileSync, statSync, writeFileSync } = fs
  const [place, held, go] = ${JSON.stringify([place, join(dir, 'held'), join(dir, 'go')])}
  let calls = 0
  function isThere() {
    if (place.path === undefined) return ++calls > place.calls
    const [dir, name] = [dirname(place.path), basename(place.path)]
    const begins = name.endsWith('*') && existsSync(dir) && readdirSync(dir).find((each) => each.startsWith(name.slice(0, -1)))
    const path = begins ? join(dir, begins) : place.path
    const found = statSync(path, { throwIfNoEntry: false })
    if (found === undefined || (found.isFile() && found.size === 0)) return false
    return place.lines === undefined || readFileSync(path, 'latin1').split('\\n').length > place.lines
  }
  let isOver = false
  function look() {
    if (isOver) return
    isOver = true // looking calls these functions, too
    if (!isThere()) return void (isOver = false)
    if (existsSync(go)) return
    writeFileSync(held, String(process.pid))
    while (!existsSync(go)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
  }
  if (isMainThread)
    for (const name of ['appendFileSync', 'closeSync', 'mkdirSync', 'renameSync', 'rmSync', 'writeFileSync', 'writeSync']) {
      const real = fs[name]
      fs[name] = (...args) => {
        const result = real(...args)
        look()
        return result
      }
    }
  syncBuiltinESMExports()`

/** As `start`, for a command that is to wait at that place. */
export function startHeld(args: readonly string[], cwd: string, place: Place): Held {
  const dir = folderOfFile('sherd-held-')
  const module = `data:text/javascript,${encodeURIComponent(hook('path' in place ? { ...place, path: join(cwd, place.path) } : place, dir))}`
  const running = start(args, { cwd, env: { NODE_OPTIONS: `--import=${module}` } })
  let hasEnded = false
  void running.ended.then(() => {
    hasEnded = true
  })
  const reached = until(() => hasEnded || existsSync(join(dir, 'held')), `sherd ${args.join(' ')} to wait`)
  return {
    ...running,
    reached: reached.then(() => {
      if (hasEnded)
        throw new Error(`sherd ${args.join(' ')} ended before it was to wait: ${running.stderr()}`)
    }),
    process: () => Number(readFileSync(join(dir, 'held'), 'utf8')),
    letGo: () => writeFileSync(join(dir, 'go'), ''),
  }
}
