/** The bodies of requests as they arrive: what is in memory counts, and not what a head announces. */
import type { Readable } from 'node:stream'
import { Refusal } from './refusal.ts'

export const bodyTypes = 'image/*, application/octet-stream or multipart/form-data'

/** The bytes that one request holds. */
export interface Holding {
  /** Throws `TOO_LARGE` for more than a request may have, `BUSY` for more than all may have together. */
  add(bytes: number): void
  release(): void
}

/** What a request that sends a body has while it is worked on. */
export interface Work {
  /** Until when it is worth working on. */
  readonly life: AbortSignal
  readonly holding: Holding
}

export interface Bodies {
  /** Of all requests. */
  readonly bytes: number
  open(): Holding
}

export function bodies({
  bodyBytes,
  bytesAtOnce,
}: {
  readonly bodyBytes: number
  readonly bytesAtOnce: number
}): Bodies {
  let bytes = 0
  return {
    get bytes() {
      return bytes
    },
    open() {
      let own = 0
      let isOver = false
      return {
        add(more) {
          if (own + more > bodyBytes)
            throw new Refusal('TOO_LARGE', `the body is too large: a request may have ${bodyBytes} bytes`)
          if (bytes + more > bytesAtOnce)
            throw new Refusal(
              'BUSY',
              `the bodies that are being worked on have ${bytes} bytes of the ${bytesAtOnce} that they may have together: try again later`,
              { 'retry-after': '1' },
            )
          if (isOver) return // nobody will let go of it
          own += more
          bytes += more
        },
        release() {
          bytes -= own
          own = 0
          isOver = true
        },
      }
    },
  }
}

/** All of a body, or of a file in a form. When that fails the rest is dropped, and the stream not destroyed: it is the connection, too. */
export async function collect(
  stream: Readable,
  { holding, life }: { readonly holding: Holding; readonly life: AbortSignal },
): Promise<Buffer> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      life.throwIfAborted()
      holding.add((chunk as Buffer).length)
      chunks.push(chunk as Buffer)
    }
  } catch (error) {
    stream.resume()
    throw error
  }
  return Buffer.concat(chunks)
}
