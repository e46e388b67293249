/** A picture as a library prepares it for its encoder, with the processor that lies beside the weights. */
import { fittingOf } from '../config/assemble.ts'
import type { Config } from '../config/schema.ts'
import { resample, sampleBytes } from '../prepare/decode/resample-pixels.ts'
import { fitted, sizeOfSample } from '../prepare/fit.ts'
import { type ChannelStatistics, normalizeBytes } from '../prepare/normalize.ts'
import type { Size } from '../source/box.ts'
import { cat, permute, reshape, toDtype, unsqueeze, zeros } from '../tensor/ops.ts'
import { fromArray, type Tensor, tensor, toArray } from '../tensor/tensor.ts'
import type { LayoutGiven, LayoutOutputs } from './layout-given.ts'

/** [1, C, H, W] of bytes [height, width, 3], as whole images are prepared outside training. */
export function preparedPicture(
  picture: Tensor,
  config: Config,
  statistics: ChannelStatistics,
  target: Size,
): Tensor {
  const { data } = config
  if (data.kind !== 'images') throw new Error('a picture is no raster')
  const [height, width] = picture.shape as [number, number]
  const isExact = data.rounding === 'none'
  const space = { target, channels: 3, rules: { interpolation: data.interpolation, isExact } }
  const out = new Uint8Array(sampleBytes(space))
  const place = fitted({ width, height }, target, fittingOf(config))
  resample(
    { pixels: toArray(picture) as Uint8Array, width, height },
    { ...place, flip: false },
    { ...space, out },
  )
  const shape = [target.height, target.width, 3] as const
  const values = isExact
    ? fromArray(new Float32Array(out.buffer), shape, 'float32')
    : toDtype(fromArray(out, shape, 'uint8'), 'float32')
  return unsqueeze(permute(normalizeBytes(values, statistics), [2, 0, 1]), 0)
}

/** `input.picture`, prepared. */
export function outputsOfPicture({ encoder, tensors }: LayoutGiven): LayoutOutputs {
  const picture = tensors.get('input.picture')
  if (!picture) return {}
  const { config, statistics, dimensions } = encoder
  const [height, width] = dimensions.imageSize
  if (!tensors.has('expected.preprocessed.spatial_shapes')) {
    const pixels = preparedPicture(picture, config, statistics, { height, width })
    return { preprocessed: pixels, preprocessedPil: pixels }
  }
  const [h, w] = picture.shape as [number, number]
  const P = dimensions.patchSize[0]
  const fitting = fittingOf(config)
  const size = sizeOfSample({ height: h, width: w }, { height, width }, fitting)
  const most = fitting?.budget?.most ?? (height * width) / P ** 2
  const [rows, columns] = [size.height / P, size.width / P]
  const pixels = preparedPicture(picture, config, statistics, size)
  const cut = permute(reshape(pixels, [1, 3, rows, P, columns, P]), [0, 2, 4, 3, 5, 1])
  const patches = reshape(cut, [1, rows * columns, P * P * 3])
  const made: LayoutOutputs = {
    '': cat([patches, zeros([1, most - rows * columns, P * P * 3])], 1),
    '.pixel_attention_mask': tensor(
      Array.from({ length: most }, (_, i) => (i < rows * columns ? 1 : 0)),
      [1, most],
    ),
    '.spatial_shapes': tensor([rows, columns], [1, 2]),
  }
  return Object.fromEntries(
    ['preprocessed', 'preprocessedPil'].flatMap((name) =>
      Object.entries(made).map(([end, x]) => [name + end, x] as const),
    ),
  )
}
