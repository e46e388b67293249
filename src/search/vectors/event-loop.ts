/** Lets long computations yield to the event loop, for example to a server's other requests. */

const TURN = 15 // ms

/** Await the returned function after each small piece of work: it yields the first time, and then whenever 15 ms have passed. */
export function takeTurns(): () => Promise<void> | undefined {
  let since = Number.NEGATIVE_INFINITY // work that is over at once hears a signal, too
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
