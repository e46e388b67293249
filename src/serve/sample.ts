/** The bytes of an image file → the model's input, exactly as `sherd embed` prepares a file of a folder. */

import { sampleSize } from '../config/assemble.ts'
import type { Config } from '../config/schema.ts'
import { samplesOf } from '../export/sample-input.ts'
import type { TensorData } from '../onnx/session.ts'
import { centerCrop } from '../prepare/crop.ts'
import { tryDecodeBytes } from '../prepare/decode/decode.ts'
import { Refusal } from './refusal.ts'

export interface Sample {
  /** [H, W, C] */
  readonly bytes: Uint8Array
  /** float32 [C, H, W], 0 to 255. */
  readonly pixels: TensorData
}

/** Returns the decoder for a model. `maxPixels`: of an image before resizing. */
export function sampleMaker(
  config: Config,
  { maxPixels }: { readonly maxPixels: number },
): (file: Uint8Array) => Promise<Sample> {
  const { height, width, channels, minSide, range } = sampleSize(config)
  const target = { height, width }
  return async (file) => {
    if (file.length === 0)
      throw new Refusal('IMAGE', 'the image is empty: expected the bytes of an image file')
    const bytes = new Uint8Array(height * width * channels)
    const place = (image: { width: number; height: number }) => ({
      box: centerCrop(image, target),
      flip: false,
    })
    const reason = await tryDecodeBytes(file, { target, channels, minSide, maxPixels, range, place }, bytes)
    if (reason !== null) throw new Refusal('IMAGE', `the image cannot be used: ${reason}`)
    const { values } = samplesOf({ pixels: bytes, shape: [1, height, width, channels] })
    return { bytes, pixels: { values, shape: [channels, height, width] } }
  }
}
