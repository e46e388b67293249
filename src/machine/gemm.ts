/** How fast this machine multiplies matrices: the ceiling of every training step. */
import { noGrad, synchronize } from '../tensor/context.ts'
import type { DType } from '../tensor/dtype.ts'
import { matmul, randn, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Device } from '../tensor/tensor.ts'

/** `batch` products [rows, inner] × [inner, columns] at once. */
export interface GemmShape {
  readonly rows: number
  readonly inner: number
  readonly columns: number
  /** Default 1. */
  readonly batch?: number
}

/** A square product of `side`³ multiply-adds. */
export const square = (side: number): GemmShape => ({ rows: side, inner: side, columns: side })

/** Squares that are large enough to show the best rate of a device, and small enough to be done in a moment. */
export const peakShapes = (device: Device): readonly GemmShape[] =>
  (device === 'cpu' ? [1024, 2048] : [4096, 8192]).map(square)

/** The median rate, in GFLOP/s, of `repeats` products of one shape, by default two matrices of 1024 × 1024. */
export function measureGemm({
  dtype,
  device = 'cpu',
  shape = square(1024),
  repeats = 9,
}: {
  dtype: DType
  device?: Device
  shape?: GemmShape
  repeats?: number
}): number {
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
      return rates.sort((x, y) => x - y)[repeats >> 1]!
    }),
  )
}

/** The best rate, in GFLOP/s, that large products reach: what "share of the measured peak" is a share of. */
export const measurePeak = (dtype: DType, device: Device): number =>
  Math.max(...peakShapes(device).map((shape) => measureGemm({ dtype, device, shape, repeats: 5 })))
