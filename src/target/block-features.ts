/** Features of an encoder's blocks as values to predict: how outputs of blocks become one vector per token, and how far a prediction is. */
import { z } from 'zod'
import { limits } from '../model/dimensions.ts'
import { call } from '../tensor/call.ts'
import { add, meanOver, mul, square, sub } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** The key of the averaged blocks. `otherwise`: which they are where it is null. */
export const layersKey = (otherwise: string) =>
  z
    .array(
      z
        .int()
        .min(0)
        .max(limits.depth - 1),
    )
    .min(1)
    .max(limits.depth)
    .nullable()
    .default(null)
    .describe(`blocks whose outputs are averaged, from 0; null: ${otherwise}`)

export interface Averaging {
  /** Whether the output of each block is normed, and whether their mean is. */
  readonly layerNorm: boolean
  readonly norm: boolean
}

/** A layer norm of tokens [.., D] without weights. */
export const plainNorm = (x: Tensor): Tensor => call('layer_norm', x, [x.shape.at(-1)!], null, null, 1e-5)

/** The mean of outputs [B, N, D], normed before and after (Baevski et al. 2022). */
export function averageOf(outputs: readonly Tensor[], { layerNorm, norm }: Averaging): Tensor {
  const each = layerNorm ? outputs.map(plainNorm) : outputs
  const mean = each.length === 1 ? each[0]! : mul(each.reduce(add), 1 / each.length)
  return norm ? plainNorm(mean) : mean
}

/** Of each row [n, D], twice → [n]. `beta`: where smooth L1 turns from squares to distances. */
export const featureErrors = {
  'smooth-l1': (a: Tensor, b: Tensor, beta: number) => meanOver(call('smooth_l1_loss', a, b, 0, beta), [1]),
  mse: (a: Tensor, b: Tensor) => meanOver(square(sub(a, b)), [1]),
  cosine: (a: Tensor, b: Tensor) => sub(mul(call('cosine_similarity', a, b, 1, 1e-8), -1), -1),
}
export type FeatureError = keyof typeof featureErrors
