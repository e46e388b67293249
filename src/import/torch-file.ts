/**
 * Reads files of `torch.save` without executing them: a pickle (`pickle.ts`) and the bytes of its storages, in a zip (`torch-zip.ts`) or,
 * before PyTorch 1.6, concatenated (`torch-legacy.ts`). A tensor is a view of a storage, which others may share; its bytes are read lazily.
 */

import type { WaitingArray } from '../checkpoint/arrays.ts'
import { messageOf, SherdError } from '../errors.ts'
import { type ByteFile, openBytes } from '../files/byte-file.ts'
import { isLfsPointer, lfsAdvice } from '../files/lfs-pointer.ts'
import { type ArrayOf, type DType, dtypes } from '../tensor/dtype.ts'
import { isLegacy, openLegacy } from './torch-legacy.ts'
import { isStorageType, type TorchTensor } from './torch-objects.ts'
import type { Saved } from './torch-saved.ts'
import { openZip } from './torch-zip.ts'

export interface TorchFile extends Pick<Saved, 'value' | 'pickleBytes'> {
  /** Names in its pickle that were not resolved. */
  readonly unknown: readonly string[]
  /** A tensor's elements, row-major. Throws `CHECKPOINT` if the file does not hold them. */
  readonly read: (tensor: TorchTensor) => Promise<ArrayOf<DType>>
  readonly close: () => Promise<void>
}

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}

/** Gathers a strided view of a storage, row-major. */
function gathered<T extends ArrayOf<DType>>(
  { shape, strides }: Pick<TorchTensor, 'shape' | 'strides'>,
  source: T,
  target: T,
): T {
  const index = shape.map(() => 0)
  let from = 0
  for (let to = 0; to < target.length; to++) {
    target[to] = source[from]!
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!
      if (++index[axis]! < shape[axis]!) break
      from -= strides[axis]! * shape[axis]!
      index[axis] = 0
    }
  }
  return target
}

/** Whether the strides are row-major, ignoring dimensions of length 1. */
function isRowMajor({ shape, strides }: TorchTensor): boolean {
  let stride = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== stride) return false
    stride *= shape[axis]!
  }
  return true
}

async function readTensor(read: Saved['read'], tensor: TorchTensor): Promise<ArrayOf<DType>> {
  const { storage, offset, shape, strides } = tensor
  const { array, bytes } = dtypes[storage.dtype]
  const elements = shape.reduce((a, b) => a * b, 1)
  if (elements === 0) {
    await read(storage, 0, 0)
    return new array(0)
  }
  const span = shape.reduce((sum, size, i) => sum + (size - 1) * strides[i]!, 1) * bytes
  const raw = await read(storage, offset * bytes, span)
  const own = raw.byteOffset % bytes === 0 ? raw : Buffer.from(new Uint8Array(raw).buffer)
  const source = new array(own.buffer as ArrayBuffer, own.byteOffset, span / bytes)
  return isRowMajor(tensor) ? source : gathered(tensor, source, new array(elements))
}

/** Adds the file's name to errors. */
async function naming<T>(path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body()
  } catch (error) {
    const isOfFile = error instanceof SherdError || (error as NodeJS.ErrnoException).code !== undefined
    if (!isOfFile) throw error
    throw new SherdError('CHECKPOINT', `${path} cannot be read as a PyTorch file: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

async function openSaved(file: ByteFile): Promise<Saved> {
  const start = await file.read(0, Math.min(file.size, 512))
  if (isLegacy(start)) return openLegacy(file)
  if (start.toString('latin1', 0, 2) === 'PK') return openZip(file)
  if (isLfsPointer(start)) return refuse(lfsAdvice)
  if (start.toString('latin1', 257, 262) === 'ustar')
    return refuse('it is a tar archive: if PyTorch before 0.1.10 wrote it, save it again with a newer one')
  return refuse('it is no file of torch.save: these begin with "PK" or with the number of older ones')
}

/** The caller closes it. Throws `CHECKPOINT` with the file and the reason. */
export const openTorchFile = (path: string): Promise<TorchFile> =>
  naming(path, async () => {
    const file = await openBytes(path)
    try {
      const { value, pickleBytes, unknown, read } = await openSaved(file)
      return {
        ...{ value, pickleBytes, unknown: [...unknown].filter((name) => !isStorageType(name)) },
        read: (tensor) => naming(path, () => readTensor(read, tensor)),
        close: () => file.close(),
      }
    } catch (error) {
      await file.close()
      throw error
    }
  })

/** A lazily read tensor. */
export const waiting = (file: TorchFile, tensor: TorchTensor): WaitingArray => ({
  dtype: tensor.storage.dtype,
  shape: tensor.shape,
  read: () => file.read(tensor),
})
