/**
 * Pieces of long work, one after the other, that can be stopped: the signal is heard after each batch within a piece, finished pieces are kept
 * in a journal, and the same work on the same journal reads them back and continues, to the same results.
 */
import { setImmediate } from 'node:timers/promises'
import { interrupted } from '../errors.ts'
import { type NumberArray, withJournal } from './batch-journal.ts'

/** What is known of a finished piece. */
export interface Piece<Head> {
  readonly head: Head
  readonly arrays: readonly NumberArray[]
}

/** To be awaited after each batch, with the share of the piece that is done. Throws `INTERRUPTED`. */
export type Breath = (share: number) => Promise<void>

/** For work that nobody watches. */
export const unwatched: Breath = async () => {}

export interface Watching {
  /** `done` is a fraction within a piece. First it says what is there already. */
  readonly onPiece?: ((done: number, of: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

interface PiecesOptions extends Watching {
  readonly of: number
  /** Such as "heads". */
  readonly unit: string
  /** The file of the journal, in a folder; without a folder nothing is kept. */
  readonly dir: string | undefined
  readonly name: string
}

export interface Pieces<Head> {
  /** Makes the next piece, or finds it. Their order must always be the same. */
  next(make: (breath: Breath) => Promise<Piece<Head>>): Promise<Piece<Head>>
  /** For work between pieces. */
  readonly breath: Breath
  /** Spent on them, earlier attempts included. */
  seconds(): number
}

const MADE = 0.99 // share of a piece that counts before it is kept

export function inPieces<Head, T>(
  { of, unit, dir, name, onPiece, signal }: PiecesOptions,
  body: (pieces: Pieces<Head>) => Promise<T>,
): Promise<T> {
  return withJournal<{ readonly head: Head; readonly seconds: number }, T>(dir, name, (journal) => {
    const before = journal?.entries ?? []
    let [done, seconds] = [0, 0]
    const breath: Breath = async (share) => {
      onPiece?.(Math.max(done + MADE * share, before.length), of)
      await setImmediate() // LibTorch blocks the thread: signals of the system are heard now
      if (signal?.aborted)
        throw interrupted({
          ...{ of, unit, done: Math.max(done, before.length), continues: journal !== undefined },
        })
    }
    onPiece?.(before.length, of)
    return body({
      breath,
      seconds: () => seconds,
      next: async (make) => {
        const found = before[done]
        if (found) {
          done++
          seconds += found.head.seconds
          return { head: found.head.head, arrays: found.arrays }
        }
        const begun = performance.now()
        const { head, arrays } = await make(breath)
        const own = (performance.now() - begun) / 1000
        journal?.append({ head, seconds: own }, ...arrays)
        done++
        seconds += own
        await breath(0)
        return { head, arrays }
      },
    })
  })
}
