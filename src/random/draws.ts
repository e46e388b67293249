/**
 * Addressed randomness: every draw is a pure function of (run seed, stream name, epoch, sample index), never of how much
 * was drawn before. A sample's crop, flip and mask are therefore the same whatever the batch size, worker or restart.
 */
import { SherdError } from '../errors.ts'
import { philox } from './philox.ts'

export interface Address {
  /** The run's seed, an integer in [0, 2^53). */
  readonly seed: number
  /** What is drawn: `'crop'`, `'mask'` … A new stream cannot shift an old one. */
  readonly stream: string
  readonly epoch: number
  readonly index: number
}

export interface Draws {
  /** Uniform in [0, 1), 32 bits of resolution. */
  uniform(): number
  /** A uniform integer in [0, n). */
  below(n: number): number
  /** A standard normal draw (Box–Muller). */
  normal(): number
  /** Fills with uniforms in [0, 1) that float32 holds exactly (24 bits). */
  fill(out: Float32Array): Float32Array
  /** A uniformly random permutation of 0 … n − 1 (Fisher–Yates). */
  permutation(n: number): Uint32Array
}

/** 32-bit FNV-1a of a stream name. */
export function streamNumber(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

export function isSeed(seed: number): boolean {
  return Number.isSafeInteger(seed) && seed >= 0
}

export function draws({ seed, stream, epoch, index }: Address): Draws {
  if (!isSeed(seed)) throw new SherdError('VALUE', `draws: expected a seed in [0, 2^53), got ${seed}`)
  const key: [number, number] = [seed >>> 0, Math.floor(seed / 2 ** 32)]
  const counter: [number, number, number, number] = [0, index, epoch, streamNumber(stream)]
  const words = new Uint32Array(4)
  let used = 4
  const word = (): number => {
    if (used === 4) {
      philox(counter, key, words)
      counter[0]++
      used = 0
    }
    return words[used++]!
  }
  const uniform = () => word() * 2 ** -32
  const below = (n: number) => Math.floor(uniform() * n)
  return {
    uniform,
    below,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    fill(out) {
      for (let i = 0; i < out.length; i++) out[i] = (word() >>> 8) * 2 ** -24
      return out
    },
    permutation(n) {
      const order = Uint32Array.from({ length: n }, (_, i) => i)
      for (let i = n - 1; i > 0; i--) {
        const j = below(i + 1)
        const moved = order[i]!
        order[i] = order[j]!
        order[j] = moved
      }
      return order
    },
  }
}
