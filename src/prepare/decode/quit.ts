/** The end of a process that would not end by itself, because a thread of it waits for a file that never comes. */
import { isStuck } from './deadline.ts'

/** Ends the process with `status` when reading a file was given up and has not ended; else does nothing. Call it last. */
export async function quitIfStuck(status: number): Promise<void> {
  if (!isStuck()) return
  for (const stream of [process.stdout, process.stderr])
    await new Promise<void>((resolve) => stream.write('', () => resolve()))
  const { pixelsAddon } = await import('../../native/pixels-addon.ts')
  pixelsAddon()?.quit(status)
  process.kill(process.pid, 'SIGKILL') // Node's own exit waits for its threads
}
