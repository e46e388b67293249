/** Translates a trace into an ONNX graph by the table of operators. */
import { didYouMean, messageOf, SherdError } from '../errors.ts'
import { type ElementType, elementTypes, type Graph, type ValueInfo } from '../onnx/graph.ts'
import type { ArrayOf, DType } from '../tensor/dtype.ts'
import type { GeneralArgument, GeneralTape } from './general-tape.ts'
import { graphBuilder, isConstant, type Value } from './graph-builder.ts'
import { type OperatorArgument, operators } from './operators.ts'

/** The first with LayerNormalization; supported by every runtime in use. */
const OPSET = 17

function elementType(dtype: string): ElementType {
  if (!Object.hasOwn(elementTypes, dtype))
    throw new SherdError('VALUE', `An ONNX graph with ${dtype} is not written by sherd`)
  return dtype as ElementType
}

export interface TranslateOptions {
  /** Inputs of the trace that become constants of the graph. */
  readonly constants?: Readonly<Record<string, ArrayOf<DType>>>
  readonly sizeNames?: Graph['sizeNames']
}

/** Throws `VALUE` for an operator without a row, naming it and its place. */
export function translate(
  name: string,
  tape: GeneralTape,
  { constants = {}, sizeNames = {} }: TranslateOptions = {},
): Graph {
  const values = new Map<number, Value>()
  const inputs: ValueInfo[] = []
  for (const [input, n] of Object.entries(tape.inputs)) {
    const { dtype, shape } = tape.tensors[n]!
    const info = { name: input, type: elementType(dtype), shape }
    const fixed = constants[input]
    if (!fixed) inputs.push(info)
    values.set(n, fixed ? { ...info, like: input, values: fixed, stored: shape as readonly number[] } : info)
  }
  const g = graphBuilder({ inputs, outputs: Object.keys(tape.outputs), opset: OPSET, sizeNames })

  const known = (n: number): Value => {
    const found = values.get(n)
    if (found) return found
    const { dtype, shape, constant, name: like } = tape.tensors[n]!
    const type = elementType(dtype)
    const made: Value = { type, shape, ...constant!, ...(like !== undefined && { like }) }
    values.set(n, made)
    return made
  }
  const argument = (x: GeneralArgument): OperatorArgument => {
    if (Array.isArray(x)) return x.map(argument)
    return typeof x === 'object' && x !== null && 'tensor' in x ? known(x.tensor) : (x as OperatorArgument)
  }
  for (const [i, call] of tape.calls.entries()) {
    const where = `operator ${i + 1} of ${tape.calls.length}, ${call.name}`
    const row = Object.hasOwn(operators, call.name) ? operators[call.name] : undefined
    if (!row)
      throw new SherdError(
        'VALUE',
        `Cannot export ${where}: src/export/operators.ts has no row for it.${didYouMean(call.name, Object.keys(operators))}`,
      )
    const wanted = call.results.map((n) => {
      const { dtype, shape } = tape.tensors[n]!
      return { type: elementType(dtype), shape }
    })
    try {
      const made = row({ g, args: call.args.map(argument), wanted })
      for (const [j, x] of (Array.isArray(made) ? (made as Value[]) : [made as Value]).entries())
        values.set(call.results[j]!, x)
    } catch (error) {
      throw new SherdError('VALUE', `Cannot export ${where}: ${messageOf(error)}`, { cause: error })
    }
  }
  const outputs = Object.entries(tape.outputs).map(([as, n]) => {
    const x = values.get(n)!
    if (isConstant(x)) throw new SherdError('VALUE', `The output "${as}" is a constant`)
    return [as, x] as const
  })
  return g.graph(name, Object.fromEntries(outputs))
}
