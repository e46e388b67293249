/**
 * How much work is begun at a time; the rest waits for its turn. Who stops waiting leaves the line at once, and is asked once more
 * before the work begins.
 */

export interface Gate {
  /** Rejects with the signal's reason, and does no work, when that comes before its turn. */
  run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>
  /** Work that has begun and not ended. */
  readonly busy: number
  /** Settles when there is none. */
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
      // A place is handed on, and never free while somebody waits.
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
