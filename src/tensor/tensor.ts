/**
 * A tensor of LibTorch, held by a handle. V8 cannot see the memory behind it: tensors are freed by `scope`
 * (`scope.ts`) or `dispose`, and the garbage collector is only a net below that.
 */
import { messageOf, SherdError } from '../errors.ts'
import { addon, type Handle } from './addon.ts'
import { type ArrayOf, type DType, dtypeCode, dtypeName, dtypes } from './dtype.ts'
import { adopt } from './ownership.ts'

export type Shape = readonly number[]

/** `cpu`, `cuda` or `cuda:N`. */
export type Device = string

interface Description {
  readonly dtype: DType
  readonly device: Device
  readonly shape: Shape
}

export class Tensor {
  /** The native handle; meaningless once the tensor is freed. */
  readonly handle: Handle
  #description: Description | undefined

  constructor(handle: Handle) {
    // What is not a handle would fail only when the garbage collector frees it, where nothing can catch it.
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

  /** Frees the native memory now. Freeing twice is harmless; any other use afterwards is an error. */
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

/** Runs a native call; an exception becomes a `TENSOR` error that starts with `what`. */
export function guarded<T>(what: string | (() => string), body: () => T): T {
  try {
    return body()
  } catch (error) {
    if (error instanceof SherdError) throw error
    const name = typeof what === 'string' ? what : what()
    throw new SherdError('TENSOR', `${name}: ${messageOf(error)}`, { cause: error })
  }
}

/** A tensor with a copy of `data`, of shape `shape`, on the device. The length must be the product of the shape. */
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
  return new Tensor(
    guarded(`fromArray ${dtype}[${shape.join(', ')}]`, () => addon().fromBytes(data, code, shape, device)),
  )
}

/** A float32 tensor of numbers. */
export function tensor(data: readonly number[] | Float32Array, shape: Shape): Tensor {
  return fromArray(data instanceof Float32Array ? data : Float32Array.from(data), shape, 'float32')
}

/** A row-major copy of the elements, as the typed array of the tensor's dtype. */
export function toArray(x: Tensor): ArrayOf<DType> {
  const known = dtypes[x.dtype]
  if (!known) throw new SherdError('VALUE', `toArray: ${x} has an element type that sherd does not read`)
  return new known.array(guarded('toArray', () => addon().toBytes(x.handle)))
}

/** The elements of a float32 tensor; throws `VALUE` for any other dtype. */
export function toFloats(x: Tensor): Float32Array {
  const data = toArray(x)
  if (!(data instanceof Float32Array)) throw new SherdError('VALUE', `toFloats: expected float32, got ${x}`)
  return data
}

/** The number in a float32 tensor of one element. */
export function item(x: Tensor): number {
  const data = toFloats(x)
  if (data.length !== 1) throw new SherdError('SHAPE', `item: expected one element, got ${x}`)
  return data[0]!
}
