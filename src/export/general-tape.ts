/**
 * Merges traces of the same code with inputs of several sizes into one. A number that differs between them must be the same sum of products
 * of symbols in all (`symbolic-sizes.ts`); a constant that differs must repeat one row. Anything else is an error. Traces are made one by
 * one, so that at most two hold their weights.
 */
import { SherdError } from '../errors.ts'
import {
  recordingPoints,
  type Size,
  type SymbolicSize,
  type Symbols,
  type SymbolValues,
  sizeThrough,
} from '../onnx/symbolic-sizes.ts'
import type { ArrayOf, DType } from '../tensor/dtype.ts'
import type { Plain, Tape, TapeArgument, TapeTensor } from '../tensor/record.ts'

export interface GeneralTensor {
  readonly dtype: DType
  readonly shape: readonly Size[]
  /** `stored`: as `shape`, with 1 where all rows along a symbolic dimension are equal. */
  readonly constant?: { readonly values: ArrayOf<DType>; readonly stored: readonly number[] }
  readonly name?: string
}

export type GeneralArgument =
  | { readonly tensor: number }
  | { readonly size: SymbolicSize }
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

/** Throws `VALUE` if the traces do not agree. */
export function generalTape(symbols: Symbols, recordAt: (sizes: SymbolValues) => Tape): GeneralTape {
  const points = recordingPoints(symbols)
  const sizes = points
    .map((point) =>
      Object.entries(point)
        .map(([name, n]) => `${name} ${n}`)
        .join(', '),
    )
    .join('; ')
  const disagree = (where: string): never => {
    throw new SherdError(
      'VALUE',
      `Inputs of ${sizes} are computed in ways that no one graph can have: ${where}`,
    )
  }
  const tapes: Tape[] = []
  for (const point of points) {
    const tape = recordAt(point)
    tapes.push(tapes.length === 0 ? tape : withoutCommon(tape, tapes[0]!))
  }
  const [first] = tapes as [Tape, ...Tape[]]
  const size = (values: readonly number[], where: string): Size =>
    sizeThrough(values, symbols) ?? disagree(`${where} is ${values.join(', ')}`)
  const argument = (all: readonly TapeArgument[], where: string): GeneralArgument => {
    const [x] = all as [TapeArgument]
    if (all.every(Array.isArray) && all.every((each) => each.length === (x as TapeArgument[]).length))
      return (x as TapeArgument[]).map((_, i) =>
        argument(
          all.map((each) => (each as TapeArgument[])[i]!),
          where,
        ),
      )
    if (all.every((each) => typeof each === 'number')) {
      const made = size(all, `a number of ${where}`)
      return typeof made === 'number' ? made : { size: made }
    }
    return all.every((each) => JSON.stringify(each) === JSON.stringify(x))
      ? (x as Exclude<TapeArgument, number>)
      : disagree(`an argument of ${where}`)
  }
  const counts = tapes.map(({ calls }) => calls.length)
  if (counts.some((count) => count !== counts[0])) disagree(`${counts.join(', ')} operators`)
  const calls = first.calls.map(({ name, args, results }, i) => {
    const all = tapes.map((tape) => tape.calls[i]!)
    const where = `operator ${i}, ${name}`
    for (const other of all)
      if (name !== other.name || `${results}` !== `${other.results}` || args.length !== other.args.length)
        disagree(`${where} and ${other.name}`)
    const general = (j: number) =>
      argument(
        all.map((each) => each.args[j]!),
        where,
      )
    return { name, args: args.map((_, j) => general(j)), results }
  })
  const tensors = first.tensors.map((x, i) => {
    const all = tapes.map((tape) => tape.tensors[i])
    const { dtype, name } = x
    const where = `tensor ${i}${name === undefined ? '' : ` (${name})`}`
    const alike = all.filter(
      (y): y is TapeTensor => y?.dtype === dtype && y.shape.length === x.shape.length && y.name === name,
    )
    if (alike.length !== all.length) return disagree(where)
    const shape = x.shape.map((_, dim) =>
      size(
        alike.map((y) => y.shape[dim]!),
        `dimension ${dim} of ${where}`,
      ),
    )
    const constant = x.values && commonConstant(alike, () => disagree(`the values of ${where}`))
    return { dtype, shape, ...(constant && { constant }), ...(name !== undefined && { name }) }
  })
  return { tensors, calls, inputs: first.inputs, outputs: first.outputs }
}

/** Replaces constants by equal ones of the first tape. */
function withoutCommon(tape: Tape, first: Tape): Tape {
  const tensors = tape.tensors.map((x, i) => {
    const same = first.tensors[i]?.values
    return x.values && same && sameBytes(x.values, same) ? { ...x, values: same } : x
  })
  return { ...tape, tensors }
}

/** Reduces the constants to one row along each dimension in which their shapes differ. */
function commonConstant(
  all: readonly TapeTensor[],
  disagree: () => never,
): NonNullable<GeneralTensor['constant']> {
  const [first] = all as [TapeTensor]
  const once = first.shape.map((n, dim) => all.some(({ shape }) => shape[dim] !== n))
  const reduced = (x: TapeTensor) => (once.includes(true) ? firstRows(x, once, disagree) : x.values!)
  const one = reduced(first)
  for (const other of all.slice(1)) if (!sameBytes(one, reduced(other))) disagree()
  return { values: one, stored: first.shape.map((n, dim) => (once[dim] ? 1 : n)) }
}

/** Reduces dimensions `once` to their first row. Calls `differ` if the rows are not equal. */
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
const sameBytes = (a: ArrayBufferView, b: ArrayBufferView) => a === b || bytesOf(a).equals(bytesOf(b))
