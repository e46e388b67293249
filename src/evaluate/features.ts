/** What a frozen encoder makes of images. It sees all patches: feature extraction never masks. */
import type { Dimensions } from '../model/dimensions.ts'
import { gridOfModel } from '../model/dimensions.ts'
import { encode } from '../model/encoder.ts'
import { type Parameters, weightsOf } from '../model/parameters.ts'
import type { OrderedImages } from '../prepare/in-order.ts'
import { type ChannelStatistics, normalizePixels, type Pixels } from '../prepare/normalize.ts'
import { autocast, noGrad } from '../tensor/context.ts'
import { meanOver, narrow, select, toDevice, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, type Tensor, tensor, toFloats } from '../tensor/tensor.ts'
import { tokenCount } from '../token/grid.ts'
import { patchify } from '../token/patchify.ts'
import { sineCosinePositions } from '../token/position.ts'
import type { Precision } from '../train/step.ts'

/** An encoder that is used, not trained. */
export interface FrozenEncoder {
  readonly dimensions: Dimensions
  readonly parameters: Parameters
  readonly statistics: ChannelStatistics
  readonly device: Device
  readonly precision: Precision
}

/** How the tokens of an image become one vector: the cls token, or the mean of the patches' tokens, after the norm. */
export const poolings = ['cls', 'mean'] as const
export type Pooling = (typeof poolings)[number]

/** pixels → tokens [B, 1 + N, D] in float32; row 0 is cls. */
export function tokensOf(encoder: FrozenEncoder): (pixels: Pixels) => Tensor {
  const { dimensions, parameters, statistics, device, precision } = encoder
  const grid = gridOfModel(dimensions)
  const table = sineCosinePositions(grid, dimensions.width)
  return (pixels) =>
    noGrad(() =>
      scope(() => {
        const where = toDevice(tensor(table, [tokenCount(grid), dimensions.width]), device)
        const patches = patchify(normalizePixels(pixels, statistics, device), dimensions.patchSize)
        const tokens = autocast({ device, dtype: precision }, () =>
          encode({ patches, kept: null, positions: where }, weightsOf(parameters), dimensions),
        )
        return toDtype(tokens, 'float32')
      }),
    )
}

/** tokens [B, 1 + N, D] → [B, D] */
export const pool = {
  cls: (tokens) => select(tokens, 1, 0),
  mean: (tokens) => meanOver(narrow(tokens, 1, 1, tokens.shape[1]! - 1), [1]),
} satisfies Record<Pooling, (tokens: Tensor) => Tensor>

export interface Features {
  readonly count: number
  readonly width: number
  /** The index in the source of each row. */
  readonly indices: Int32Array
  /** [count, width] of each pooling. */
  readonly vectors: Readonly<Record<Pooling, Float32Array>>
}

/** The features of all images, in order. `onBatch` is told how many are done. */
export async function extractFeatures(
  encoder: FrozenEncoder,
  images: AsyncIterable<OrderedImages>,
  onBatch?: (done: number) => void,
): Promise<Features> {
  const tokens = tokensOf(encoder)
  const parts = { cls: [] as Float32Array[], mean: [] as Float32Array[] }
  const indices: number[] = []
  for await (const batch of images) {
    scope(() => {
      const made = tokens(batch)
      for (const pooling of poolings) parts[pooling].push(toFloats(pool[pooling](made)))
    })
    indices.push(...batch.indices)
    onBatch?.(indices.length)
  }
  const joined = (list: readonly Float32Array[]) => {
    const all = new Float32Array(indices.length * encoder.dimensions.width)
    let at = 0
    for (const part of list) {
      all.set(part, at)
      at += part.length
    }
    return all
  }
  return {
    count: indices.length,
    width: encoder.dimensions.width,
    indices: Int32Array.from(indices),
    vectors: { cls: joined(parts.cls), mean: joined(parts.mean) },
  }
}
