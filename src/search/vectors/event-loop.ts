/** Work that takes long, in turns: whoever else waits for the event loop, such as a server's other requests, is heard in between. */

const TURN = 15 // ms

/** What it gives is awaited after each small piece of work, and lets others have their turn when this one was long. */
export function takeTurns(): () => Promise<void> | undefined {
  let since = performance.now()
  return () => {
    if (performance.now() - since < TURN) return undefined
    return new Promise((resolve) =>
      setImmediate(() => {
        since = performance.now()
        resolve()
      }),
    )
  }
}
