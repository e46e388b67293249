/** How much a server takes on. Whatever is above is refused before it costs memory or time. */

import { SherdError } from '../errors.ts'

export interface Limits {
  /** Of one request. */
  readonly bodyBytes: number
  /** Of one image, before it is resized. */
  readonly pixels: number
  /** Of one request. */
  readonly images: number
  /** Bodies of all requests that are being worked on, as far as they have been received. */
  readonly bytesAtOnce: number
  /** Images that wait for one graph. */
  readonly queue: number
  /** Connections. */
  readonly connections: number
  /** From the first byte of a request to the last of its body, in milliseconds. */
  readonly receiveMs: number
  /** From the head of a request to its answer, in milliseconds. */
  readonly answerMs: number
  /** How long a connection may stay open without a request, in milliseconds. */
  readonly idleMs: number
  /** How long a stop waits for what is being worked on before that is refused, too, in milliseconds. */
  readonly stopMs: number
  /** Of a request's head. */
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
  stopMs: 9000, // all is over before the 10 s that Docker gives
  headerBytes: 8192,
}

const LONGEST = 2 ** 30 // milliseconds, twelve days: timers of Node that are set to more than twice this fire at once

/** The given limits and the usual ones for the rest. Throws `VALUE` for those that would refuse everything or never work. */
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

/** How long an image may wait for others, in milliseconds. Throws `VALUE`. */
export function expectWait(value: number): void {
  if (!(value >= 0 && value <= LONGEST))
    throw new SherdError('VALUE', `mostWait: expected 0 to ${LONGEST} milliseconds, got ${value}.`)
}
