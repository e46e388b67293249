/** What was, and what was undone. */

export interface History<T> {
  readonly past: readonly T[]
  readonly now: T
  readonly future: readonly T[]
}

const MOST = 200

export const begin = <T>(now: T): History<T> => ({ past: [], now, future: [] })

/** A new state; what had been undone is gone. */
export const follow = <T>({ past, now }: History<T>, next: T): History<T> =>
  next === now ? { past, now, future: [] } : { past: [...past, now].slice(-MOST), now: next, future: [] }

export function undo<T>(history: History<T>): History<T> {
  const { past, now, future } = history
  const last = past.at(-1)
  return last === undefined ? history : { past: past.slice(0, -1), now: last, future: [now, ...future] }
}

export function redo<T>(history: History<T>): History<T> {
  const { past, now, future } = history
  const [next, ...rest] = future
  return next === undefined ? history : { past: [...past, now], now: next, future: rest }
}
