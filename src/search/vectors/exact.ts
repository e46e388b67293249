/**
 * Exact search: all products of queries and vectors, block by block. ONNX Runtime's Gemm and TopK use all cores and are forty times as
 * fast as a JavaScript loop; TopK breaks ties by the lower row.
 */
import type { InferenceSession } from 'onnxruntime-node'
import { onnxParts } from '../../onnx/onnx-file.ts'
import { onnxRuntime } from '../../onnx/session.ts'
import type { Candidates } from './nearest.ts'
import type { Vectors } from './unit-vectors.ts'

const ROWS = 16_384 // per block
const PRODUCTS = 4e8 // multiplications per call, about 10 ms on two cores

/** queries [batch, D] · vectors [rows, D]ᵀ → the `count` largest products of each query, with their rows. */
const graphOf = (rows: number, width: number, count: number) =>
  ({
    ...{ name: 'nearest', opset: 17 },
    nodes: [
      {
        ...{ op: 'Gemm', inputs: ['queries', 'vectors'], outputs: ['products'] },
        attributes: { transB: { int: 1 } },
      },
      {
        ...{ op: 'TopK', inputs: ['products', 'count'], outputs: ['similarities', 'rows'] },
        attributes: { axis: { int: 1 }, largest: { int: 1 }, sorted: { int: 1 } },
      },
    ],
    initializers: [{ name: 'count', type: 'int64', shape: [1], values: BigInt64Array.of(BigInt(count)) }],
    inputs: [
      { name: 'queries', type: 'float32', shape: [{ batch: 1 }, width] },
      { name: 'vectors', type: 'float32', shape: [rows, width] },
    ],
    outputs: [
      { name: 'similarities', type: 'float32', shape: [{ batch: 1 }, count] },
      { name: 'rows', type: 'int64', shape: [{ batch: 1 }, count] },
    ],
    values: [{ name: 'products', type: 'float32', shape: [{ batch: 1 }, rows] }],
  }) as const

/** Rounds to few distinct sizes, so that few graphs are compiled. */
const roundUp = (count: number) => 2 ** Math.ceil(Math.log2(Math.max(16, count)))

/** `vectors` must not change afterwards. Throws `ENGINE_MISSING` without ONNX Runtime. */
export async function openExact(vectors: Vectors, { threads }: { threads: number }): Promise<Candidates> {
  const { InferenceSession, Tensor } = await onnxRuntime()
  const { count: n, width, values } = vectors
  const sessions = new Map<string, Promise<InferenceSession>>()
  const sessionOf = (rows: number, count: number) => {
    const key = `${rows} ${count}`
    const made =
      sessions.get(key) ??
      InferenceSession.create(Buffer.concat(onnxParts(graphOf(rows, width, count), {}, '')), {
        ...{ executionProviders: ['cpu'], intraOpNumThreads: threads, interOpNumThreads: 1 },
      })
    sessions.set(key, made)
    return made
  }
  const blocks = Array.from({ length: Math.ceil(n / ROWS) }, (_, block) => {
    const first = block * ROWS
    const rows = Math.min(ROWS, n - first)
    const shape = [rows, width]
    return {
      first,
      rows,
      of: new Tensor('float32', values.subarray(first * width, (first + rows) * width), shape),
    }
  })
  return {
    atOnce: Math.max(1, Math.floor(PRODUCTS / (Math.min(n, ROWS) * width))),
    async rows(queries, count) {
      const found: number[][] = Array.from({ length: queries.count }, () => [])
      const asked = new Tensor('float32', queries.values, [queries.count, width])
      for (const { first, rows, of } of blocks) {
        const most = Math.min(rows, roundUp(count))
        const session = await sessionOf(rows, most)
        const { rows: places } = await session.run({ queries: asked, vectors: of }, ['rows'])
        const data = places!.data as BigInt64Array
        for (const [q, list] of found.entries())
          for (let i = 0; i < most; i++) list.push(first + Number(data[q * most + i]))
      }
      return found
    },
    async close() {
      for (const session of sessions.values()) await (await session).release()
      sessions.clear()
    },
  }
}
