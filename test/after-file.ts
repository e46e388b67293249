// What is done after the tests of a file. A hook of a helper's own would be set once for all files that share its module (`isolate: false`).
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

type Work = () => unknown

const key = Symbol.for('sherd: after the tests of a file')
const shared = globalThis as { [key]?: Work[] }
const waiting = shared[key] ?? []
shared[key] = waiting

/** Call it from helpers, at any time of a file's tests. */
export const afterFile = (work: Work): void => void waiting.push(work)

/** For test/setup.ts. The last comes first. */
export async function doAfterFile(): Promise<void> {
  for (let work = waiting.pop(); work; work = waiting.pop()) await work()
}

/** A new folder that is removed after the tests of the file. */
export function folderOfFile(name = 'sherd-test-'): string {
  const dir = mkdtempSync(join(tmpdir(), name))
  afterFile(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
