/**
 * Random erasing (Zhong et al. 2020): a rectangle of some images becomes noise. On normalised images, on their device; the noise
 * of an image is a window, drawn at its address, of one field of noise.
 */
import { draws } from '../../random/draws.ts'
import type { Box, Size } from '../../source/box.ts'
import { callInPlace } from '../../tensor/call.ts'
import { noGrad } from '../../tensor/context.ts'
import { narrow, select } from '../../tensor/ops.ts'
import { scope } from '../../tensor/scope.ts'
import type { Tensor } from '../../tensor/tensor.ts'

export interface ErasingOptions {
  /** How many of the images; 0 for none. */
  readonly probability: number
  readonly seed: number
}

// Share of the area and width / height of the rectangle, as fine-tuning recipes have them.
const AREA = [0.02, 1 / 3] as const
const RATIO = [0.3, 1 / 0.3] as const
const ATTEMPTS = 10

export interface Erasure {
  readonly row: number
  readonly box: Box
  /** Where its noise begins in the field. */
  readonly noise: { readonly left: number; readonly top: number }
}

/** What is erased in a batch: a pure function of (seed, epoch, index) of each sample. */
export function drawErasures(
  { probability, seed }: ErasingOptions,
  { epochs, indices }: { readonly epochs: ArrayLike<number>; readonly indices: ArrayLike<number> },
  { height, width }: Size,
): Erasure[] {
  if (probability === 0) return []
  return Array.from(indices).flatMap((index, row) => {
    const next = draws({ seed, stream: 'erase', epoch: epochs[row]!, index })
    if (next.uniform() >= probability) return []
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const area = height * width * (AREA[0] + (AREA[1] - AREA[0]) * next.uniform())
      const ratio = Math.exp(Math.log(RATIO[0]) + (Math.log(RATIO[1]) - Math.log(RATIO[0])) * next.uniform())
      const [h, w] = [Math.round(Math.sqrt(area / ratio)), Math.round(Math.sqrt(area * ratio))]
      if (h < 1 || w < 1 || h >= height || w >= width) continue
      const box = { top: next.below(height - h + 1), left: next.below(width - w + 1), height: h, width: w }
      return [{ row, box, noise: { top: next.below(height + 1), left: next.below(width + 1) } }]
    }
    return []
  })
}

/** Erases in place, in images [B, C, H, W], with noise [C, 2 H, 2 W]. */
export function eraseImages(images: Tensor, noise: Tensor, erasures: readonly Erasure[]): void {
  noGrad(() =>
    scope(() => {
      const window = (x: Tensor, { top, left }: { top: number; left: number }, { height, width }: Size) =>
        narrow(narrow(x, 1, top, height), 2, left, width)
      for (const { row, box, noise: from } of erasures)
        callInPlace('copy_', window(select(images, 0, row), box, box), window(noise, from, box))
    }),
  )
}
