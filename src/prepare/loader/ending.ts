/**
 * The end of the process while the decoding thread is in the middle of an image. Node tears the thread down at once; libvips then answers an
 * environment that is gone, and the C++ exception ends the process with an abort. So the process lets the current images finish first.
 */

/** Shared with the thread: whether the process ends, and how many reads are in work. */
export type Ending = Int32Array
const [IS_ENDING, READS] = [0, 1]

/** A read that never ends, from a network mount without its server, must not keep the process. */
const PATIENCE_MS = 1000

const open = new Set<Ending>()

export const newEnding = (): Ending => new Int32Array(new SharedArrayBuffer(8))

/** Starts nothing new in any thread, and waits until their current reads are over. Blocks; the threads need nothing of this one. */
function quiesce(): void {
  const until = performance.now() + PATIENCE_MS
  for (const ending of open) Atomics.store(ending, IS_ENDING, 1)
  for (const ending of open)
    for (let reads = 1; reads > 0 && performance.now() < until; ) {
      reads = Atomics.load(ending, READS)
      if (reads > 0) Atomics.wait(ending, READS, reads, until - performance.now())
    }
}

/** Of the main thread: from now until the returned function is called, the process waits for the thread's reads before it ends. */
export function endWith(ending: Ending): () => void {
  if (open.size === 0) process.on('exit', quiesce)
  open.add(ending)
  return () => {
    open.delete(ending)
    if (open.size === 0) process.off('exit', quiesce)
  }
}

/** Of the decoding thread: `read`, counted; once the process ends, it starts nothing and never settles. */
export const counted =
  <In extends unknown[], Out>(read: (...of: In) => Promise<Out>, ending: Ending) =>
  async (...of: In): Promise<Out> => {
    Atomics.add(ending, READS, 1) // before it looks, so that the process sees the read or the read sees the end
    try {
      if (!Atomics.load(ending, IS_ENDING)) return await read(...of)
    } finally {
      Atomics.sub(ending, READS, 1)
      Atomics.notify(ending, READS)
    }
    return new Promise<never>(() => {})
  }
