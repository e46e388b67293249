/** How fast this machine multiplies matrices: the ceiling of every training step. */
import { noGrad, synchronize } from '../tensor/context.ts'
import type { DType } from '../tensor/dtype.ts'
import { matmul, randn, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Device } from '../tensor/tensor.ts'

/** The median rate, in GFLOP/s, of `repeats` products of two `side` × `side` matrices. */
export function measureGemm({
  dtype,
  device = 'cpu',
  side = 1024,
  repeats = 9,
}: {
  dtype: DType
  device?: Device
  side?: number
  repeats?: number
}): number {
  return noGrad(() =>
    scope(() => {
      const a = toDtype(randn([side, side], { device }), dtype)
      const rates: number[] = []
      for (let i = 0; i < repeats + 2; i++) {
        synchronize(device)
        const started = performance.now()
        scope(() => matmul(a, a))
        synchronize(device)
        if (i >= 2) rates.push((2 * side ** 3) / ((performance.now() - started) * 1e6))
      }
      return rates.sort((x, y) => x - y)[repeats >> 1]!
    }),
  )
}
