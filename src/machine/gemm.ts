/** Measures matrix products: the upper bound of every training step. */
import { noGrad, synchronize } from '../tensor/context.ts'
import { type DType, dtypeCode } from '../tensor/dtype.ts'
import { matmul, randn, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Device } from '../tensor/tensor.ts'

/** A batch of products [rows, inner] × [inner, columns]. */
export interface GemmShape {
  readonly rows: number
  readonly inner: number
  readonly columns: number
  /** Default 1. */
  readonly batch?: number
}

/** A square product of `side`³ multiply-adds. */
export const square = (side: number): GemmShape => ({ rows: side, inner: side, columns: side })

/** Large enough for the best rate of the device. */
export const peakShapes = (device: Device): readonly GemmShape[] =>
  (device === 'cpu' ? [1024, 2048] : [4096, 8192]).map(square)

interface GemmOptions {
  readonly dtype: DType
  readonly device?: Device
  /** Default 1024 × 1024. */
  readonly shape?: GemmShape
  readonly repeats?: number
}

/** Rates of `repeats` products in GFLOP/s, ascending. */
function gemmRates({ dtype, device = 'cpu', shape = square(1024), repeats = 9 }: GemmOptions): number[] {
  dtypeCode(dtype) // throws for a type that is none, before matrices are made
  const { rows, inner, columns, batch = 1 } = shape
  const random = (a: number, b: number) =>
    toDtype(randn(batch > 1 ? [batch, a, b] : [a, b], { device }), dtype)
  return noGrad(() =>
    scope(() => {
      const [a, b] = [random(rows, inner), random(inner, columns)]
      const rates: number[] = []
      for (let i = 0; i < repeats + 2; i++) {
        synchronize(device)
        const started = performance.now()
        scope(() => matmul(a, b))
        synchronize(device)
        if (i >= 2) rates.push((2 * batch * rows * inner * columns) / ((performance.now() - started) * 1e6))
      }
      return rates.sort((x, y) => x - y)
    }),
  )
}

/** Median rate in GFLOP/s. */
export function measureGemm(options: GemmOptions): number {
  const rates = gemmRates(options)
  return rates[rates.length >> 1]!
}

/**
 * The best rate of large products in GFLOP/s, the peak of "share of the measured peak". Not the median, since other programs can only
 * slow it down.
 */
export const measurePeak = (dtype: DType, device: Device): number =>
  Math.max(...peakShapes(device).flatMap((shape) => gemmRates({ dtype, device, shape, repeats: 7 })))
