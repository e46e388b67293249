/**
 * torchvision's `GaussianBlur`: a sampled Gaussian, edges mirrored without their last pixel, halves to the even level. torchvision sums
 * in float32 over the square; here it is columns, then rows, in double, so that a byte in thousands differs, by one.
 */
import { SherdError } from '../../errors.ts'
import type { Change } from './change.ts'

/** The weights from the centre outwards; all of them, both ways, add up to 1. */
function gaussian(size: number, sigma: number): Float64Array {
  const weights = Float64Array.from({ length: (size + 1) / 2 }, (_, i) => Math.exp(-0.5 * (i / sigma) ** 2))
  const total = weights.reduce((sum, weight) => sum + 2 * weight, -1)
  return weights.map((weight) => weight / total)
}

/** The place that stands for one beyond an edge. */
const mirrored = (at: number, last: number) => (at < 0 ? -at : at > last ? 2 * last - at : at)

/** `kernelSize` is [width, height], both odd; sigma in pixels. */
export const blurTorchvision = (kernelSize: readonly [number, number], sigma: number): Change => {
  const [across, down] = [gaussian(kernelSize[0], sigma), gaussian(kernelSize[1], sigma)]
  const reach = across.length - 1
  return ({ pixels, width, height }) => {
    if (reach >= width || down.length > height)
      throw new SherdError(
        'VALUE',
        `blurTorchvision: a kernel of ${kernelSize[0]} × ${kernelSize[1]} looks beyond the mirrored edges of an image of ${width} × ${height} pixels; expected at most ${2 * width - 1} × ${2 * height - 1}`,
      )
    const row = width * 3
    const out = new Uint8ClampedArray(pixels.length) // rounds halves to the even level
    const line = new Float64Array(row + 6 * reach)
    const start = 3 * reach
    for (let y = 0; y < height; y++) {
      const here = y * row
      for (let x = 0; x < row; x++) line[start + x] = down[0]! * pixels[here + x]!
      for (let i = 1; i < down.length; i++) {
        const weight = down[i]!
        const above = mirrored(y - i, height - 1) * row
        const below = mirrored(y + i, height - 1) * row
        for (let x = 0; x < row; x++)
          line[start + x] = line[start + x]! + weight * (pixels[above + x]! + pixels[below + x]!)
      }
      for (let x = 1; x <= reach; x++)
        for (let channel = 0; channel < 3; channel++) {
          line[start - 3 * x + channel] = line[start + 3 * x + channel]!
          line[start + row - 3 + 3 * x + channel] = line[start + row - 3 - 3 * x + channel]!
        }
      for (let x = 0; x < row; x++) {
        const centre = start + x
        let sum = across[0]! * line[centre]!
        for (let i = 1; i <= reach; i++) sum += across[i]! * (line[centre - 3 * i]! + line[centre + 3 * i]!)
        out[here + x] = sum
      }
    }
    return new Uint8Array(out.buffer)
  }
}
