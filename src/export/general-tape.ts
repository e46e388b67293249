/**
 * Two tapes of the same code with batches of two sizes → one tape for every size. A number that differs between them must be the same
 * multiple of both batches; a constant that differs must be the same row again and again. Anything else cannot be said, and is an error.
 */
import { SherdError } from '../errors.ts'
import type { ArrayOf, DType } from '../tensor/dtype.ts'
import type { Plain, Tape, TapeArgument, TapeTensor } from '../tensor/record.ts'

/** A number, or a multiple of the batch. */
export type Size = number | { readonly batch: number }

export interface GeneralTensor {
  readonly dtype: DType
  readonly shape: readonly Size[]
  /** Of a constant. `stored`: as `shape`, with 1 where all rows along a dimension of the batch are one. */
  readonly constant?: { readonly values: ArrayOf<DType>; readonly stored: readonly number[] }
  readonly name?: string
}

export type GeneralArgument =
  | { readonly tensor: number }
  | { readonly batch: number }
  | Plain
  | readonly GeneralArgument[]

export interface GeneralCall {
  readonly name: string
  readonly args: readonly GeneralArgument[]
  readonly results: readonly number[]
}

export interface GeneralTape {
  readonly tensors: readonly GeneralTensor[]
  readonly calls: readonly GeneralCall[]
  readonly inputs: Readonly<Record<string, number>>
  readonly outputs: Readonly<Record<string, number>>
}

/** A tape, and the batch that it was recorded with. */
export interface Recording {
  readonly tape: Tape
  readonly batch: number
}

/** Throws `VALUE` where the two do not agree. */
export function generalTape(first: Recording, second: Recording): GeneralTape {
  const [a, b] = [first.tape, second.tape]
  const disagree = (where: string): never => {
    throw new SherdError(
      'VALUE',
      `Batches of ${first.batch} and ${second.batch} are computed in ways that no one graph can have: ${where}`,
    )
  }
  const size = (x: number, y: number, where: string): Size => {
    if (Object.is(x, y)) return x
    const times = x / first.batch
    return Number.isInteger(times) && times === y / second.batch
      ? { batch: times }
      : disagree(`${where} is ${x} in one and ${y} in the other`)
  }
  const argument = (x: TapeArgument, y: TapeArgument, where: string): GeneralArgument => {
    if (Array.isArray(x) && Array.isArray(y) && x.length === y.length)
      return x.map((each, i) => argument(each, y[i], where))
    if (typeof x === 'number' && typeof y === 'number') return size(x, y, `a number of ${where}`)
    return JSON.stringify(x) === JSON.stringify(y)
      ? (x as GeneralArgument)
      : disagree(`an argument of ${where}`)
  }
  if (a.calls.length !== b.calls.length) disagree(`${a.calls.length} operators and ${b.calls.length}`)
  const calls = a.calls.map(({ name, args, results }, i) => {
    const other = b.calls[i]!
    const where = `operator ${i}, ${name}`
    if (name !== other.name || `${results}` !== `${other.results}` || args.length !== other.args.length)
      disagree(`${where} and ${other.name}`)
    return { name, args: args.map((each, j) => argument(each, other.args[j]!, where)), results }
  })
  const tensors = a.tensors.map((x, i) => {
    const y = b.tensors[i]
    const where = `tensor ${i}${x.name === undefined ? '' : ` (${x.name})`}`
    if (!y || x.dtype !== y.dtype || x.shape.length !== y.shape.length || x.name !== y.name)
      return disagree(where)
    const shape = x.shape.map((n, dim) => size(n, y.shape[dim]!, `dimension ${dim} of ${where}`))
    const constant = x.values && commonConstant(x, y, () => disagree(`the values of ${where}`))
    const { dtype, name } = x
    return { dtype, shape, ...(constant && { constant }), ...(name !== undefined && { name }) }
  })
  return { tensors, calls, inputs: a.inputs, outputs: a.outputs }
}

/** Both with one row along each dimension in which their shapes differ. */
function commonConstant(
  a: TapeTensor,
  b: TapeTensor,
  disagree: () => never,
): NonNullable<GeneralTensor['constant']> {
  const once = a.shape.map((n, dim) => n !== b.shape[dim])
  const one = firstRows(a, once, disagree)
  const other = firstRows(b, once, disagree)
  if (one !== other && !sameBytes(one, other)) disagree()
  return { values: one, stored: a.shape.map((n, dim) => (once[dim] ? 1 : n)) }
}

/** The values with dimensions `once` reduced to their first row. Calls `differ` when another row is not the same. */
function firstRows(x: TapeTensor, once: readonly boolean[], differ: () => never): ArrayOf<DType> {
  let { values } = x as Required<TapeTensor>
  const shape = [...x.shape]
  for (const [dim, isOnce] of once.entries()) {
    if (!isOnce) continue
    const rows = shape[dim]!
    const inner = shape.slice(dim + 1).reduce((m, n) => m * n, 1)
    const outer = shape.slice(0, dim).reduce((m, n) => m * n, 1)
    const kept = values.slice(0, outer * inner)
    for (let o = 0; o < outer; o++)
      for (let r = 0; r < rows; r++) {
        const row = values.subarray((o * rows + r) * inner, (o * rows + r + 1) * inner)
        if (r === 0) (kept as Uint8Array).set(row as Uint8Array, o * inner)
        else if (!sameBytes(row, kept.subarray(o * inner, (o + 1) * inner))) differ()
      }
    values = kept
    shape[dim] = 1
  }
  return values
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength)
const sameBytes = (a: ArrayBufferView, b: ArrayBufferView) => bytesOf(a).equals(bytesOf(b))
