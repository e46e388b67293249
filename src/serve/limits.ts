/** The limits of a server. Requests above them are refused before they cost memory or time. */

import { SherdError } from '../errors.ts'

export interface Limits {
  /** Of one request. */
  readonly bodyBytes: number
  /** Of one image, before resizing. */
  readonly pixels: number
  /** Of one request. */
  readonly images: number
  /** Received bytes of the bodies of all open requests. */
  readonly bytesAtOnce: number
  /** Images queued for one graph. */
  readonly queue: number
  readonly connections: number
  /** From the first byte of a request to the last of its body, in ms. */
  readonly receiveMs: number
  /** From the headers of a request to its answer, in ms. */
  readonly answerMs: number
  /** How long a connection may be idle, in ms. */
  readonly idleMs: number
  /** How long a stop waits for open requests before it refuses them, in ms. */
  readonly stopMs: number
  readonly headerBytes: number
}

export const limitDefaults: Limits = {
  bodyBytes: 16 * 2 ** 20,
  pixels: 50e6,
  images: 32,
  bytesAtOnce: 256 * 2 ** 20,
  queue: 256,
  connections: 1024,
  receiveMs: 30_000,
  answerMs: 30_000,
  idleMs: 10_000,
  stopMs: 9000, // below the 10 s after which Docker kills
  headerBytes: 8192,
}

const LONGEST = 2 ** 30 // ms, 12 days: Node's timers above 2³¹ fire at once

/** The given limits, with defaults for the rest. Throws `VALUE` for limits that would refuse everything or never apply. */
export function limitsOf(given: Partial<Limits> = {}): Limits {
  const limits = { ...limitDefaults, ...given }
  for (const [name, value] of Object.entries(limits)) {
    const most = name.endsWith('Ms') ? LONGEST : Number.MAX_SAFE_INTEGER
    if (!Number.isInteger(value) || value < 1 || value > most)
      throw new SherdError(
        'VALUE',
        `limits.${name}: expected a whole number from 1 to ${most}, got ${value}.`,
      )
  }
  return limits
}

/** Checks how long an image may wait for others, in ms. Throws `VALUE`. */
export function expectWait(value: number): void {
  if (!(value >= 0 && value <= LONGEST))
    throw new SherdError('VALUE', `mostWait: expected 0 to ${LONGEST} milliseconds, got ${value}.`)
}
