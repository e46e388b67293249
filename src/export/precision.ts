/** Precisions of exported files, with their tolerances against LibTorch in float32. */
import type { Graph } from '../onnx/graph.ts'
import { halfWeights } from '../onnx/half.ts'
import { quantizeProducts } from '../onnx/quantize.ts'

export interface Agreement {
  /** Largest absolute difference. */
  readonly largest: number
  /** Smallest cosine of a vector (an embedding, a whole prediction) to LibTorch's. */
  readonly cosine: number
}

export interface PrecisionRow {
  /** Of the file's name. */
  readonly suffix: string
  readonly convert: (graph: Graph) => Graph
  readonly mostDifference: number
  readonly leastCosine: number
  /** Least share of an image's ten nearest images that stay, in the mean over images. */
  readonly leastOverlap: number
}

/** What a file must keep; `mostDifference` of any number. */
export type Bounds = Pick<PrecisionRow, 'mostDifference' | 'leastCosine' | 'leastOverlap'>

export const precisions = {
  fp32: {
    suffix: '',
    convert: (graph) => graph,
    mostDifference: 1e-4,
    leastCosine: 0.99999,
    leastOverlap: 0,
  },
  fp16: {
    suffix: '-fp16',
    convert: halfWeights,
    mostDifference: 0.1,
    leastCosine: 0.999,
    leastOverlap: 0.95,
  },
  int8: {
    suffix: '-int8',
    convert: quantizeProducts,
    mostDifference: Number.POSITIVE_INFINITY,
    leastCosine: 0.99,
    leastOverlap: 0.8,
  },
} as const satisfies Record<string, PrecisionRow>

export type ExportPrecision = keyof typeof precisions
