/** The precisions of an exported file, and how near each must come to LibTorch's float32. */
import type { Graph } from '../onnx/graph.ts'
import { halfWeights } from '../onnx/half.ts'
import { quantizeProducts } from '../onnx/quantize.ts'

export interface Agreement {
  /** The largest absolute difference of any number. */
  readonly largest: number
  /** The smallest cosine of a vector (an embedding, a whole prediction) to LibTorch's. */
  readonly cosine: number
}

export interface PrecisionRow {
  /** What it adds to the name of a file. */
  readonly suffix: string
  /** Of the float32 graph. */
  readonly convert: (graph: Graph) => Graph
  readonly mostDifference: number
  readonly leastCosine: number
}

/** A new precision is one row. */
export const precisions = {
  fp32: { suffix: '', convert: (graph) => graph, mostDifference: 1e-4, leastCosine: 0.99999 },
  fp16: { suffix: '-fp16', convert: halfWeights, mostDifference: 0.1, leastCosine: 0.999 },
  int8: {
    suffix: '-int8',
    convert: quantizeProducts,
    mostDifference: Number.POSITIVE_INFINITY,
    leastCosine: 0.99,
  },
} as const satisfies Record<string, PrecisionRow>

export type ExportPrecision = keyof typeof precisions
