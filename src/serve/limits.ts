/** How much a server takes on. Whatever is above is refused before it costs memory or time. */

export interface Limits {
  /** Of one request. */
  readonly bodyBytes: number
  /** Of one image, before it is resized. */
  readonly pixels: number
  /** Of one request. */
  readonly images: number
  /** Bodies of all requests that are being worked on. */
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
  /** How long a stop waits for what is being worked on, in milliseconds. */
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
  stopMs: 10_000,
  headerBytes: 8192,
}
