/**
 * Histograms of oriented gradients as the target (MaskFeat, Wei et al. 2022): of each patch and the bands of its group, from the whole view.
 * The loss is the mean squared error over hidden patches and the numbers of their descriptors.
 */
import { z } from 'zod'
import { indexSelect, meanOver, reshape, square, sub, toDevice } from '../tensor/ops.ts'
import { fromArray, type Tensor } from '../tensor/tensor.ts'
import { descriptorOf, gradientHistograms, type HistogramOptions } from './gradient-histograms.ts'
import type { TargetMaker } from './target.ts'
import { targetRow } from './target-row.ts'
import { tokenTarget } from './token-target.ts'

/** MaskFeat's, where patches allow it: 8 pixels of 16. */
function usualCell([h, w]: readonly [number, number]): number {
  let [side, rest] = [h, w]
  while (rest > 0) [side, rest] = [rest, side % rest]
  return side % 2 === 0 ? side / 2 : side
}

/** `cellSize` null: half a patch. */
export interface HogOptions extends Omit<HistogramOptions, 'cellSize'> {
  readonly cellSize: number | null
}

const histogramsOf = (
  { cellSize, ...options }: HogOptions,
  patchSize: readonly [number, number],
): HistogramOptions => ({ ...options, cellSize: cellSize ?? usualCell(patchSize) })

/** Throws `VALUE` where cells do not fill patches. Refuses views with missing data, whose borders would be edges that the scene does not have. */
export const predictHog =
  (given: HogOptions): TargetMaker =>
  ({ shape, groups }) => {
    const { patchSize } = shape.dimensions
    const options = histogramsOf(given, patchSize)
    const ofBands = (pixels: Tensor, bands: readonly number[]) => {
      const [B, T, C, H, W] = pixels.shape as readonly [number, number, number, number, number]
      const which = fromArray(BigInt64Array.from(bands, BigInt), [bands.length], 'int64')
      const own = indexSelect(reshape(pixels, [B * T, C, H, W]), 1, toDevice(which, pixels.device))
      const made = gradientHistograms(own, { ...options, patchSize })
      return reshape(made, [B, -1, made.shape[2]!])
    }
    const { cells } = descriptorOf(patchSize, 1, options)
    return tokenTarget({
      part: 'hog',
      shows: { kind: 'gradients', bins: options.bins, cells },
      widths: Object.fromEntries(
        groups.map(({ head, bands }) => [head, descriptorOf(patchSize, bands.length, options).width]),
      ),
      of: ({ cut: { view } }) => groups.map(({ bands }) => ofBands(view.pixels, bands)),
      error: (predicted, wanted) => meanOver(square(sub(predicted, wanted)), [1]),
    })
  }

export const hogRow = targetRow({
  keys: {
    cellSize: z
      .int()
      .min(1)
      .max(1024)
      .nullable()
      .default(null)
      .describe(
        'side in pixels of a cell; it divides model.patchSize; null: half a patch (8 of 16 in MaskFeat), or what divides both of its sides',
      ),
    bins: z.int().min(2).max(64).default(9).describe('directions of a gradient'),
    gaussianWindow: z
      .union([z.literal(0), z.int().min(2).max(1024)])
      .default(0)
      .describe('side in pixels of a Gaussian that weights gradients (16 in mmpretrain); 0: none'),
  },
  open: predictHog,
  check: (keys, { dimensions: { patchSize } }) =>
    void descriptorOf(patchSize, 1, histogramsOf(keys, patchSize)),
  wholeSamples: () => 'target.kind hog',
  inWords: () => 'histograms of oriented gradients (MaskFeat, Wei et al. 2022)',
})
