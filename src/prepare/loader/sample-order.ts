/**
 * The endless stream of samples: position 0, 1, 2 … → (epoch, index). Each epoch is a permutation of the whole source, and nothing
 * is dropped: a batch may span two epochs. A position alone identifies the state of the stream.
 */
import { draws } from '../../random/draws.ts'

export interface SampleAddress {
  readonly epoch: number
  readonly index: number
}

/** A process that shares the stream of samples. */
export interface Reader {
  readonly rank: number
  readonly world: number
}

export interface SampleOrderOptions {
  /** Samples in the source, at least 1. */
  readonly size: number
  readonly seed: number
  /** Default true. Without it every epoch runs through the source in order. */
  readonly shuffle?: boolean
  /** Rank r of w takes every w-th position, from r on. Default: a single process. */
  readonly reader?: Reader
}

/** Batches and prefetched ones usually span at most two epochs. */
const CACHED_EPOCHS = 2

/** The address of the sample at any position of a reader. Positions may come in any order; neighbouring ones are cheap. */
export function sampleOrder({
  size,
  seed,
  shuffle = true,
  reader: { rank, world } = { rank: 0, world: 1 },
}: SampleOrderOptions): (position: number) => SampleAddress {
  const permutations = new Map<number, Uint32Array>()
  const permutation = (epoch: number): Uint32Array => {
    const known = permutations.get(epoch)
    if (known) return known
    const made = draws({ seed, stream: 'order', epoch, index: 0 }).permutation(size)
    permutations.set(epoch, made)
    for (const oldest of permutations.keys()) {
      if (permutations.size <= CACHED_EPOCHS) break
      permutations.delete(oldest)
    }
    return made
  }
  return (own) => {
    const position = own * world + rank
    const epoch = Math.floor(position / size)
    const place = position % size
    return { epoch, index: shuffle ? permutation(epoch)[place]! : place }
  }
}
