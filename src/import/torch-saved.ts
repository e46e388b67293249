/** What a file of `torch.save` holds, whichever way it was written. */
import type { Storage } from './torch-objects.ts'

export const MAX_PICKLE_BYTES = 16e6

export interface Saved {
  /** Maps, arrays, numbers, texts, tensors, objects of which nothing is called. It may contain itself. */
  readonly value: unknown
  /** The names in its pickle that are unknown here. */
  readonly unknown: ReadonlySet<string>
  readonly pickleBytes: number
  /** `span` bytes of a storage from byte `first` on. Throws `CHECKPOINT` when the file does not hold the storage. */
  readonly read: (storage: Storage, first: number, span: number) => Promise<Buffer>
}
