/** Work that is asked for faster than it is done: one runs, and of those that wait only the last is done. */

/** `work` never runs twice at a time; a call while it runs replaces the one that waits. */
export function latest<T>(work: (what: T) => Promise<void>): (what: T) => void {
  let running = false
  let waiting: { readonly what: T } | null = null
  const go = async () => {
    running = true
    while (waiting) {
      const { what } = waiting
      waiting = null
      await work(what)
    }
    running = false
  }
  return (what) => {
    waiting = { what }
    if (!running) void go()
  }
}
