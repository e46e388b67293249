/** The bytes of an image file → the model's input, exactly as `sherd embed` prepares a file of a folder. */

import { fittingOf, sampleSize } from '../config/assemble.ts'
import type { Config } from '../config/schema.ts'
import { samplesOf } from '../export/sample-input.ts'
import type { TensorData } from '../onnx/session.ts'
import { tryDecodeBytes } from '../prepare/decode/decode.ts'
import { fitted, sizeOfSample } from '../prepare/fit.ts'
import type { Box, Size } from '../source/box.ts'
import { Refusal } from './refusal.ts'

export interface Sample {
  /** [H, W, C] */
  readonly bytes: Uint8Array
  /** float32 [C, H, W], 0 to 255. */
  readonly pixels: TensorData
}

/** The part of an image that becomes the sample. */
export type Cutting = (image: Size, target: Size) => Box

/** Returns the decoder for a model. `maxPixels`: of an image before resizing. `cutting`: by default as the model's images are prepared. */
export function sampleMaker(
  config: Config,
  { maxPixels }: { readonly maxPixels: number },
): (file: Uint8Array, cutting?: Cutting) => Promise<Sample> {
  const { height, width, channels, minSide, range, rules } = sampleSize(config)
  const fitting = fittingOf(config)
  const usual = { height, width }
  return async (file, cutting) => {
    const isExact = !cutting && (fitting?.isExact ?? false)
    if (file.length === 0)
      throw new Refusal('IMAGE', 'the image is empty: expected the bytes of an image file')
    let size = usual
    let values: Uint8Array | Float32Array = new Uint8Array(0)
    const sample = (image: Size) => {
      size = cutting ? usual : sizeOfSample(image, usual, fitting)
      values = new (isExact ? Float32Array : Uint8Array)(size.height * size.width * channels)
      const place = cutting ? { box: cutting(image, size) } : fitted(image, size, fitting)
      return { ...place, flip: false, target: size, out: new Uint8Array(values.buffer) }
    }
    const request = { channels, minSide, maxPixels, range, rules: { ...rules, isExact }, sample }
    const reason = await tryDecodeBytes(file, request)
    if (reason !== null) throw new Refusal('IMAGE', `the image cannot be used: ${reason}`)
    const samples = samplesOf({ pixels: values, shape: [1, size.height, size.width, channels] })
    const bytes =
      values instanceof Uint8Array ? values : new Uint8Array(Uint8ClampedArray.from(values).buffer)
    return { bytes, pixels: { values: samples.values, shape: samples.shape.slice(1) } }
  }
}
