/** The tiny model's satellite: two dates, two groups of bands and a band in none. Every dimension is another number. */
import type { BackboneShape } from '../../src/model/backbone-shape.ts'
import type { EncoderDimensions } from '../../src/model/dimensions.ts'
import { type View, withoutNaN } from '../../src/prepare/view.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { wave } from '../tolerance.ts'
import { tiny } from './tiny-model.ts'

export const bands = 4
export const seriesDimensions: EncoderDimensions = { ...tiny, imageSize: [4, 6], channels: bands } // 2 × 3 patches
export const [T, H, W, L] = [2, 4, 6, 6]
export const groups = [[3, 0], [1]]
/** Of one sample. */
export const values = T * bands * H * W
export const tokens = groups.length * T * L

export const series: BackboneShape = {
  ...{ dimensions: seriesDimensions, frames: T, groups, groupWidth: 4 },
  time: { fields: ['month', 'hour'], width: 4 },
  ...{ referenceResolution: null, positions: 'fixed' },
}

export const dates = Float64Array.of(Date.UTC(2020, 1, 29, 13), Date.UTC(2021, 6, 1, 9))

/** The pixel (row, column) of a band of a frame of the first sample, among its values. */
export const at = (frame: number, band: number, row: number, column: number) =>
  ((frame * bands + band) * H + row) * W + column

/** Values of B samples, NaN where there is no data. */
export const viewsOfValues = (B: number, pixels: readonly number[], times: Float64Array = dates): View => ({
  ...withoutNaN(tensor([...pixels], [B, T, bands, H, W])),
  times: Float64Array.from({ length: B * T }, (_, i) => times[i % T]!),
  resolution: null,
})

export const seriesValues = (B: number, seed = 0) => wave(B * values, seed)

/** The group, frame and location of a token. */
export const placeOf = (token: number) => ({
  group: Math.floor(token / (T * L)),
  frame: Math.floor(token / L) % T,
  row: Math.floor((token % L) / 3),
  column: token % 3,
})

/** Which token a band's pixel belongs to, −1 for a band that no group has. */
export const tokenAt = (frame: number, band: number, row: number, column: number): number => {
  const group = groups.findIndex((each) => each.includes(band))
  return group < 0 ? -1 : (group * T + frame) * L + Math.floor(row / 2) * 3 + Math.floor(column / 2)
}
