/**
 * A tensor of LibTorch, held by a handle. V8 does not see its memory: tensors are freed by `scope` (`scope.ts`) or `dispose`, with
 * the garbage collector as a fallback.
 */
import { messageOf, SherdError } from '../errors.ts'
import { addon, type Handle } from './addon.ts'
import { type ArrayOf, type DType, dtypeCode, dtypeName, dtypes } from './dtype.ts'
import { adopt } from './ownership.ts'
import { upload } from './uploads.ts'

export type Shape = readonly number[]

/** `cpu`, `cuda` or `cuda:N`. */
export type Device = string

interface Description {
  readonly dtype: DType
  readonly device: Device
  readonly shape: Shape
}

export class Tensor {
  /** Invalid once the tensor is freed. */
  readonly handle: Handle
  #description: Description | undefined

  constructor(handle: Handle) {
    // An invalid handle would otherwise fail in the garbage collector, where it cannot be caught.
    if (!Number.isSafeInteger(handle))
      throw new SherdError('VALUE', 'Tensors are made by functions such as tensor and fromArray, not by new')
    this.handle = handle
    adopt(this)
  }

  #describe(): Description {
    if (!this.#description) {
      const [code, device, , shape] = guarded('describe', () => addon().describe(this.handle))
      this.#description = { dtype: dtypeName(code), device, shape }
    }
    return this.#description
  }

  get shape(): Shape {
    return this.#describe().shape
  }

  get dtype(): DType {
    return this.#describe().dtype
  }

  get device(): Device {
    return this.#describe().device
  }

  /** Frees the memory now. Idempotent; any later use is an error. */
  dispose(): void {
    addon().free(this.handle)
  }

  /** `float32[2, 3]`, for messages. */
  toString(): string {
    try {
      return `${this.dtype}[${this.shape.join(', ')}]`
    } catch {
      return 'freed tensor'
    }
  }
}

/** Converts exceptions of a native call into `TENSOR` errors that start with `what`. */
export function guarded<T>(what: string | (() => string), body: () => T): T {
  try {
    return body()
  } catch (error) {
    if (error instanceof SherdError) throw error
    const name = typeof what === 'string' ? what : what()
    throw new SherdError('TENSOR', `${name}: ${messageOf(error)}`, { cause: error })
  }
}

/** Copies `data`, whose length must be the product of the shape. */
export function fromArray<D extends DType>(
  data: ArrayOf<D>,
  shape: Shape,
  dtype: D,
  device: Device = 'cpu',
): Tensor {
  const code = dtypeCode(dtype)
  const { array } = dtypes[dtype]
  if (!(data instanceof array))
    throw new SherdError('VALUE', `fromArray: a ${dtype} tensor needs a ${array.name}`)
  const make = () =>
    new Tensor(
      guarded(`fromArray ${dtype}[${shape.join(', ')}]`, () => addon().fromBytes(data, code, shape, device)),
    )
  return device === 'cpu' ? make() : upload(make, () => data)
}

export function tensor(data: readonly number[] | Float32Array, shape: Shape): Tensor {
  return fromArray(data instanceof Float32Array ? data : Float32Array.from(data), shape, 'float32')
}

/** A row-major copy of the elements. */
export function toArray(x: Tensor): ArrayOf<DType> {
  const known = dtypes[x.dtype]
  if (!known) throw new SherdError('VALUE', `toArray: ${x} has an element type that sherd does not read`)
  return new known.array(guarded('toArray', () => addon().toBytes(x.handle)))
}

/** Throws `VALUE` for other dtypes than float32. */
export function toFloats(x: Tensor): Float32Array {
  const data = toArray(x)
  if (!(data instanceof Float32Array)) throw new SherdError('VALUE', `toFloats: expected float32, got ${x}`)
  return data
}

/** Of a float32 tensor with one element. */
export function item(x: Tensor): number {
  const data = toFloats(x)
  if (data.length !== 1) throw new SherdError('SHAPE', `item: expected one element, got ${x}`)
  return data[0]!
}
