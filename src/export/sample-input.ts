/** Samples as the input of an exported encoder: float32 in the files' units, channels first. */
import { isOfRasters, type Pixels } from '../prepare/pixels.ts'

export interface Samples {
  readonly values: Float32Array
  /** [B, C, H, W], or [B, T, C, H, W] for several frames. */
  readonly shape: readonly number[]
}

export function samplesOf(batch: Pixels): Samples {
  if (isOfRasters(batch)) {
    const [B, T, ...image] = batch.shape
    const values = batch.pixels.slice() // a copy: ONNX Runtime does not take shared memory
    return { values, shape: [B, ...(T === 1 ? image : [T, ...image])] }
  }
  const { pixels, shape } = batch
  const [B, H, W, C] = shape
  const places = H * W
  const values = new Float32Array(B * C * places)
  for (let b = 0; b < B; b++)
    for (let c = 0; c < C; c++) {
      const plane = values.subarray((b * C + c) * places, (b * C + c + 1) * places)
      for (let p = 0, at = b * places * C + c; p < places; p++, at += C) plane[p] = pixels[at]!
    }
  return { values, shape: [B, C, H, W] }
}
