/**
 * Stores matrices as float16 with a cast to float32, which runtimes fold when they load the file. Everything is computed in float32, so
 * that only the weights are rounded.
 */
import { SherdError } from '../errors.ts'
import type { Graph, Initializer, Node, ValueInfo } from './graph.ts'

const LARGEST = 65504

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** The bits of the nearest float16 (IEEE 754 binary16), ties to even. */
export function float16Bits(value: number): number {
  float[0] = value
  const all = bits[0]!
  const sign = (all >>> 16) & 0x8000
  const magnitude = all & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00 // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00 // 65520 and more
  if (magnitude < 0x38800000) return sign | roundEven(Math.abs(float[0]) * 2 ** 24) // subnormal: steps of 2⁻²⁴
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1)
  return sign | ((rounded - 0x38000000) >>> 13)
}

function roundEven(x: number): number {
  const below = Math.floor(x)
  const rest = x - below
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below
}

/** Vectors are not converted: they are small, and norms and biases are most sensitive to rounding. */
const isMatrix = ({ type, shape }: Initializer) => type === 'float32' && shape.length >= 2

/** Throws `VALUE` for a weight outside float16's range. */
export function halfWeights(graph: Graph): Graph {
  const casts: Node[] = []
  const values: ValueInfo[] = []
  const initializers = graph.initializers.map((each): Initializer => {
    if (!isMatrix(each)) return each
    const weights = each.values as Float32Array
    const stored = `${each.name}.float16`
    casts.push({ op: 'Cast', inputs: [stored], outputs: [each.name], attributes: { to: { int: 1 } } })
    values.push({ name: each.name, type: 'float32', shape: each.shape })
    if (weights.some((x) => Math.abs(x) > LARGEST))
      throw new SherdError('VALUE', `${each.name} has weights beyond ${LARGEST}, which float16 cannot hold`)
    return { ...each, name: stored, type: 'float16', values: Uint16Array.from(weights, float16Bits) }
  })
  return { ...graph, initializers, nodes: [...casts, ...graph.nodes], values: [...values, ...graph.values] }
}
