/** The contents of a `torch.save` file, in either format. */
import type { Storage } from './torch-objects.ts'

export const MAX_PICKLE_BYTES = 16e6

export interface Saved {
  /** Maps, arrays, numbers, strings, tensors, opaque objects; possibly cyclic. */
  readonly value: unknown
  /** Names in its pickle that were not resolved. */
  readonly unknown: ReadonlySet<string>
  readonly pickleBytes: number
  /** `span` bytes of a storage from byte `first` on. Throws `CHECKPOINT` if the file lacks the storage. */
  readonly read: (storage: Storage, first: number, span: number) => Promise<Buffer>
}
