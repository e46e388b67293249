/** Request bodies as they arrive. Limits count the bytes in memory, not the announced length. */
import type { Readable } from 'node:stream'
import { Refusal } from './refusal.ts'

export const bodyTypes = 'image/*, application/octet-stream or multipart/form-data'

/** The bytes that one request holds. */
export interface Holding {
  /** Throws `TOO_LARGE` above the limit of a request, `BUSY` above that of all requests together. */
  add(bytes: number): void
  release(): void
}

/** A request with a body, while it is being answered. */
export interface Work {
  /** Aborts at the deadline or when the client has gone. */
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
          if (isOver) return // would never be released
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

/** A whole body, or a whole file of a form. On failure the rest is drained and the stream kept, since it is also the connection. */
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
