/** A tape → an ONNX graph, call by call, by the table of operators. */
import { didYouMean, messageOf, SherdError } from '../errors.ts'
import type { GeneralArgument, GeneralTape } from './general-tape.ts'
import { type ElementType, elementTypes, type Graph } from './graph.ts'
import { graphBuilder, isConstant, type Value } from './graph-builder.ts'
import { type OperatorArgument, operators } from './operators.ts'

/** Opset 17 is the first with LayerNormalization, and old enough for every runtime that is in use. */
const OPSET = 17

function elementType(dtype: string): ElementType {
  if (!Object.hasOwn(elementTypes, dtype))
    throw new SherdError('VALUE', `An ONNX graph with ${dtype} is not written by sherd`)
  return dtype as ElementType
}

/** Throws `VALUE` for an operator that the table has no row for, naming it and its place. */
export function translate(name: string, tape: GeneralTape): Graph {
  const [[inputName, inputNumber], ...others] = Object.entries(tape.inputs) as [[string, number]]
  if (others.length > 0) throw new SherdError('VALUE', 'A graph of several inputs is not written by sherd')
  const given = tape.tensors[inputNumber]!
  const input = { name: inputName, type: elementType(given.dtype), shape: given.shape }
  const g = graphBuilder({ input, outputs: Object.keys(tape.outputs), opset: OPSET })
  const values = new Map<number, Value>([[inputNumber, input]])

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
