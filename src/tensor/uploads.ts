/** Who sends values from JavaScript's memory to a device: by default nobody looks; a recorded step keeps them (`graph.ts`). */
import type { Owned } from './ownership.ts'

/** Gets how to send, and the bytes; gives a tensor. Sends nothing else itself. */
export type Uploading = (send: () => Owned, bytes: () => ArrayBufferView) => Owned

let through: Uploading | null = null

/** Sends through `uploading` within `body`, and what that sends through the one around it. */
export function withUploads<T>(uploading: Uploading, body: () => T): T {
  const before = through
  through = (send, bytes) => uploading(() => (before ? before(send, bytes) : send()), bytes)
  try {
    return body()
  } finally {
    through = before
  }
}

export const upload = <T extends Owned>(send: () => T, bytes: () => ArrayBufferView): T =>
  through ? (through(send, bytes) as T) : send()
