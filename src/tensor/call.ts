/** Calls LibTorch's dispatcher operators by name. */
import { SherdError } from '../errors.ts'
import { addon, type NativeResult } from './addon.ts'
import { guarded, Tensor } from './tensor.ts'

export type Argument = Tensor | number | boolean | string | null | undefined | readonly Argument[]

const indices = new Map<string, number>()

/** The namespace `aten` may be omitted. */
const qualified = (name: string) => (name.includes('::') ? name : `aten::${name}`)

function lookUp(name: string): number {
  let index = indices.get(name)
  if (index === undefined) {
    const dot = name.indexOf('.')
    const [base, overload] = dot < 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot + 1)]
    index = addon().operator(qualified(base), overload)
    indices.set(name, index)
  }
  return index
}

/** Whether this LibTorch has the operator, such as `scaled_dot_product_attention` or `add.Tensor`. */
export function hasOperator(name: string): boolean {
  return lookUp(name) >= 0
}

// Tensor handles are passed as BigInts, so that they cannot be confused with numbers.
function toNative(argument: Argument): unknown {
  if (argument instanceof Tensor) return BigInt(argument.handle)
  if (Array.isArray(argument)) return argument.map(toNative)
  if (typeof argument === 'bigint') throw new SherdError('VALUE', 'a BigInt is no argument of an operator')
  return argument
}

function show(argument: Argument, depth = 0): string {
  if (Array.isArray(argument)) {
    if (depth === 3) return '[…]'
    const shown = argument.slice(0, 4).map((each) => show(each, depth + 1))
    return `[${shown.join(', ')}${argument.length > 4 ? `, … ${argument.length} in all` : ''}]`
  }
  return argument === null || argument instanceof Tensor || typeof argument !== 'object'
    ? String(argument)
    : 'an object'
}

/** Errors name the operator and the shapes of its arguments. */
export function callRaw(name: string, args: readonly Argument[]): NativeResult {
  const operator = lookUp(name)
  if (operator < 0)
    throw new SherdError(
      'TENSOR',
      `This LibTorch (${addon().build().version}) has no operator ${qualified(name)}`,
    )
  return guarded(
    () => `${qualified(name)}(${args.map((each) => show(each)).join(', ')})`,
    () => addon().call(operator, args.map(toNative)),
  )
}

/** Including those in lists. */
export const tensorsIn = (args: readonly Argument[]): Tensor[] =>
  args.flatMap((each) => (each instanceof Tensor ? [each] : Array.isArray(each) ? tensorsIn(each) : []))

/** A call with its results. */
export interface Called {
  /** With its namespace. */
  readonly name: string
  readonly args: readonly Argument[]
  readonly results: readonly Tensor[]
}

let witness: ((called: Called) => void) | null = null

/** Calls `see` for every operator in `body`, except those that `see` calls itself. */
export function witnessing<T>(see: (called: Called) => void, body: () => T): T {
  const before = witness
  const own = (called: Called) => {
    witness = null
    try {
      see(called)
    } finally {
      witness = own
    }
  }
  witness = own
  try {
    return body()
  } finally {
    witness = before
  }
}

const report = (name: string, args: readonly Argument[], results: readonly Tensor[]) =>
  witness?.({ name: qualified(name), args, results })

/** Calls an operator that returns one tensor. */
export function call(name: string, ...args: Argument[]): Tensor {
  const result = callRaw(name, args)
  if (typeof result !== 'number')
    throw new SherdError('TENSOR', `${qualified(name)} does not return one tensor`)
  const made = new Tensor(result)
  report(name, args, [made])
  return made
}

/** Calls an operator that returns several tensors; undefined ones are null. */
export function callMany(name: string, ...args: Argument[]): (Tensor | null)[] {
  const result = callRaw(name, args)
  if (!Array.isArray(result))
    throw new SherdError('TENSOR', `${qualified(name)} does not return several tensors`)
  const made = (result as readonly NativeResult[]).map((each) =>
    typeof each === 'number' ? new Tensor(each) : null,
  )
  report(
    name,
    args,
    made.filter((each) => each !== null),
  )
  return made
}

/** Calls an operator for its side effect; its result is freed. */
export function callInPlace(name: string, ...args: Argument[]): void {
  const result = callRaw(name, args)
  if (typeof result === 'number') addon().free(result)
  report(name, args, [])
}
