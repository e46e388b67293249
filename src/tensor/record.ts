/**
 * Traces code into the list of operators that it calls: a tape. Everything that does not depend on the inputs becomes a constant. Views such
 * as `reshape` and `narrow` are operators, too.
 */
import { SherdError } from '../errors.ts'
import { type Argument, type Called, tensorsIn, witnessing } from './call.ts'
import { noGrad } from './context.ts'
import type { ArrayOf, DType } from './dtype.ts'
import { withKernels } from './fused.ts'
import { scope } from './scope.ts'
import { type Shape, Tensor, toArray } from './tensor.ts'

export interface TapeTensor {
  readonly dtype: DType
  readonly shape: Shape
  /** Of a constant. */
  readonly values?: ArrayOf<DType>
  /** Of an input; of a constant the parameter it is or derives from. */
  readonly name?: string
}

/** Tensors are indices into the tape's list. */
export type TapeArgument = { readonly tensor: number } | Plain | readonly TapeArgument[]
export type Plain = number | boolean | string | null

export interface TapeCall {
  /** Such as `aten::linear`. */
  readonly name: string
  readonly args: readonly TapeArgument[]
  /** Indices of its result tensors. */
  readonly results: readonly number[]
}

export interface Tape {
  readonly tensors: readonly TapeTensor[]
  readonly calls: readonly TapeCall[]
  readonly inputs: Readonly<Record<string, number>>
  readonly outputs: Readonly<Record<string, number>>
}

export interface RecordOptions {
  /** By name on the tape. */
  readonly inputs: Readonly<Record<string, Tensor>>
  /** Parameters, for the names of constants. */
  readonly named: ReadonlyMap<string, Tensor>
}

/** Runs `body` with composed operators and without gradients, and records its calls. */
export function record({ inputs, named }: RecordOptions, body: () => Readonly<Record<string, Tensor>>): Tape {
  const tensors: TapeTensor[] = []
  const calls: TapeCall[] = []
  const known = new Map<Tensor, number>() // on the tape
  const names = new Map<Tensor, string>([...named].map(([name, x]) => [x, name]))

  const enter = (x: Tensor, more: Pick<TapeTensor, 'values' | 'name'> = {}): number => {
    known.set(x, tensors.length)
    tensors.push({ dtype: x.dtype, shape: x.shape, ...more })
    return tensors.length - 1
  }
  const constant = (x: Tensor) => {
    const name = names.get(x)
    return enter(x, { values: toArray(x), ...(name === undefined ? {} : { name }) })
  }
  const numberOf = (x: Tensor) => known.get(x) ?? constant(x)
  const noted = (argument: Argument): TapeArgument => {
    if (argument instanceof Tensor) return { tensor: numberOf(argument) }
    if (Array.isArray(argument)) return argument.map(noted)
    return (argument ?? null) as Plain
  }
  const isMade = (x: Tensor) => known.has(x) && tensors[known.get(x)!]!.values === undefined
  const see = ({ name, args, results }: Called) => {
    const given = tensorsIn(args)
    if (results.length === 0 && given.some((x) => known.has(x)))
      throw new SherdError('VALUE', `record: ${name} changes its argument, which no tape can say`)
    if (given.some(isMade)) {
      const written = args.map(noted)
      calls.push({ name, args: written, results: results.map((x) => enter(x)) })
      return
    }
    const origins = new Set(given.flatMap((x) => names.get(x) ?? []))
    const [origin] = origins
    if (origins.size === 1 && origin !== undefined) for (const x of results) names.set(x, origin)
  }
  return noGrad(() =>
    scope(() => {
      const read = Object.entries(inputs).map(([name, x]) => [name, enter(x, { name })] as const)
      const made = witnessing(see, () => withKernels('composed', body))
      const outputs = Object.entries(made).map(([name, x]) => {
        if (!isMade(x))
          throw new SherdError('VALUE', `record: the output "${name}" does not depend on the inputs`)
        return [name, known.get(x)!] as const
      })
      return { tensors, calls, inputs: Object.fromEntries(read), outputs: Object.fromEntries(outputs) }
    }),
  )
}
