/** The precisions of an exported file, and how near each must come to LibTorch's float32. */
import type { Graph } from './graph.ts'
import { halfWeights } from './half.ts'
import { quantizeProducts } from './quantize.ts'

export interface Agreement {
  /** The largest absolute difference of any number. */
  readonly largest: number
  /** The smallest cosine of an embedding (cls, mean) to LibTorch's. */
  readonly cosine: number
}

export interface PrecisionRow {
  readonly file: string
  /** Of the float32 graph. */
  readonly convert: (graph: Graph) => Graph
  readonly mostDifference: number
  readonly leastCosine: number
}

/** A new precision is one row. */
export const precisions = {
  fp32: { file: 'encoder.onnx', convert: (graph) => graph, mostDifference: 1e-4, leastCosine: 0.99999 },
  fp16: { file: 'encoder-fp16.onnx', convert: halfWeights, mostDifference: 0.1, leastCosine: 0.999 },
  int8: {
    file: 'encoder-int8.onnx',
    convert: quantizeProducts,
    mostDifference: Number.POSITIVE_INFINITY,
    leastCosine: 0.99,
  },
} as const satisfies Record<string, PrecisionRow>

export type ExportPrecision = keyof typeof precisions
