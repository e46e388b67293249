/**
 * A convolutional VQ-VAE (van den Oord et al. 2017) whose codes rebuild the image, as the targets of BEiT (Bao et al. 2022) do. Otherwise than
 * there it has the codebook of VQ-KD, of unit vectors and moving averages: no gradient of a relaxed choice and no temperature to anneal, and a
 * codebook that keeps its codes in use. The loss is the mean squared error of normalised pixels and the commitment.
 */
import { SherdError } from '../errors.ts'
import {
  type ConvolutionalShape,
  convolutionalRows,
  growFromCodes,
  shrinkToCodes,
} from '../model/convolutional.ts'
import type { View } from '../prepare/view.ts'
import { contiguous, mean, permute, reshape, select, square, sub, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { gridOf } from '../token/grid.ts'
import { patchify } from '../token/patchify.ts'
import { type CodebookOptions, type TokenizerObjective, tokenizer } from './tokenizer.ts'

export interface VqPixelsOptions extends Omit<ConvolutionalShape, 'between'> {
  readonly imageSize: readonly [height: number, width: number]
  readonly codebook: CodebookOptions
}

/** [B, C, H, W] */
function imagesOf(view: View): Tensor {
  if (view.valid || view.pixels.shape[1] !== 1)
    throw new SherdError('VALUE', 'vq-pixels: expected images of one frame, in which no pixel lacks data')
  return select(view.pixels, 1, 0)
}

/** Throws `CONFIG` or `SHAPE` if patches and widths do not fit. */
export function vqPixels({ imageSize, codebook, ...given }: VqPixelsOptions): TokenizerObjective {
  const shape: ConvolutionalShape = { ...given, between: codebook.width }
  const grid = gridOf(imageSize, shape.patchSize)
  return tokenizer(
    {
      rows: convolutionalRows(shape),
      encoder: { prefix: 'encoder.' },
      ...{ imageSize, layout: { grid, frames: 1, groups: 1 }, decodes: 'pixels' },
      vectors: (view, weights) =>
        scope(() => {
          const map = shrinkToCodes(imagesOf(view), weights, shape)
          const [B] = map.shape
          return reshape(contiguous(permute(map, [0, 2, 3, 1])), [B!, grid.h * grid.w, codebook.width])
        }),
      decode: (vectors, weights) =>
        scope(() => {
          const map = reshape(vectors, [vectors.shape[0]!, grid.h, grid.w, codebook.width])
          return growFromCodes(contiguous(permute(map, [0, 3, 1, 2])), weights, shape)
        }),
      shown: (decoded) => ({
        ...{ kind: 'pixels', statistics: null },
        said: patchify(toDtype(decoded, 'float32'), shape.patchSize),
      }),
      error: (decoded, view) => scope(() => mean(square(sub(toDtype(decoded, 'float32'), imagesOf(view))))),
    },
    codebook,
  )
}
