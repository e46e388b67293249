/** Samples as the input of an exported encoder: float32 in the files' units, channels first. */
import { type Pixels, rasterValues } from '../prepare/normalize.ts'

export interface Samples {
  readonly values: Float32Array
  /** [B, C, H, W], or [B, T, C, H, W] for several frames. */
  readonly shape: readonly number[]
}

export function samplesOf(batch: Pixels): Samples {
  const { pixels, shape, rasters } = batch
  const [B, H, W, C] = shape
  if (rasters) {
    const image = [C, H, W]
    return {
      values: rasterValues(batch, rasters).slice(), // a copy: ONNX Runtime does not take shared memory
      shape: [B, ...(rasters.frames === 1 ? image : [rasters.frames, ...image])],
    }
  }
  const places = H * W
  const values = new Float32Array(B * C * places)
  for (let b = 0; b < B; b++)
    for (let c = 0; c < C; c++) {
      const plane = values.subarray((b * C + c) * places, (b * C + c + 1) * places)
      for (let p = 0, at = b * places * C + c; p < places; p++, at += C) plane[p] = pixels[at]!
    }
  return { values, shape: [B, C, H, W] }
}
