/** Who sends values from JavaScript's memory to a device: by default nobody looks; a recorded step keeps them (`graph.ts`). */
import type { Tensor } from './tensor.ts'

/** Gets how to send, and the bytes. Sends nothing else itself. */
export type Uploading = (send: () => Tensor, bytes: () => ArrayBufferView) => Tensor

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

export const upload: Uploading = (send, bytes) => (through ? through(send, bytes) : send())
