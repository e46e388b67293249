/**
 * Limits how much work runs at a time; the rest queues. An aborted caller leaves the queue at once, and is checked again before its
 * work begins.
 */

export interface Gate {
  /** Rejects with the signal's reason, without doing the work, if it aborts first. */
  run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>
  readonly busy: number
  /** Settles when no work runs. */
  rest(): Promise<void>
}

export function gate(places: number): Gate {
  const line: (() => void)[] = []
  const resting: (() => void)[] = []
  let busy = 0
  const turn = (signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const leave = () => {
        line.splice(line.indexOf(enter), 1)
        reject(signal.reason)
      }
      const enter = () => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      line.push(enter)
      signal.addEventListener('abort', leave, { once: true })
    })
  return {
    get busy() {
      return busy
    },
    rest: () =>
      new Promise((resolve) => {
        if (busy === 0) resolve()
        else resting.push(resolve)
      }),
    async run(signal, work) {
      signal.throwIfAborted()
      // A place passes directly to the next in the queue.
      if (busy < places) busy++
      else await turn(signal)
      try {
        signal.throwIfAborted()
        return await work()
      } finally {
        const next = line.shift()
        if (next) next()
        else if (--busy === 0) for (const rest of resting.splice(0)) rest()
      }
    },
  }
}
