/** Reconstructions as tiles: images as they are, rasters as composites by date. */

import type { StatisticsUsed } from '../target/patch-statistics.ts'
import type { Quality } from '../target/reconstruction-quality.ts'
import { type Composite, compositeTile, stretchOf } from './composite.ts'
import { type Tile, tileOf } from './tile.ts'

/** All in the files' units (images: [0, 1]), [B, T, C, H, W]. */
export interface RebuiltValues {
  readonly samples: number
  readonly frames: number
  readonly channels: number
  readonly height: number
  readonly width: number
  readonly truth: Float32Array
  /** 1 where a band's patch is hidden; null: nothing is. */
  readonly hidden: Float32Array | null
  /** 1 where it is hidden and not predicted, which is grey; default: nowhere. */
  readonly unsaid?: Float32Array | null
  /** [B, T, H, W] 1 where there is data; null: everywhere. */
  readonly valid: Float32Array | null
  /** [B · T] in milliseconds. */
  readonly times: Float64Array | null
  readonly variants: readonly {
    readonly statistics: StatisticsUsed
    readonly values: Float32Array
    readonly quality: readonly Quality[]
  }[]
  /** Further tiles of a date (b · T + t). */
  readonly shown?: (date: number, image: Tile) => readonly Tile[]
}

export interface Rebuilt {
  readonly statistics: StatisticsUsed
  readonly tile: Tile
  /** On hidden patches, all channels and frames. */
  readonly quality: Quality
}

/** A row of a picture: an image, or a composite of one date. */
export interface Reconstruction {
  readonly original: Tile
  /** The original with hidden patches in grey, if there are any. */
  readonly masked: Tile
  readonly rebuilt: readonly Rebuilt[]
  /** What is no image, in the order of `Reconstructions.columns`. */
  readonly shown?: readonly Tile[]
  /** Of a raster: its name and date. */
  readonly caption?: string
  /** Of a raster: the composite that is shown. */
  readonly label?: string
}

export interface RasterLook {
  readonly composites: readonly Composite[]
  /** Of each sample. */
  readonly names: readonly string[]
}

const GREY = 0.82 // of hidden patches
export const GREY_BYTE = Math.round(255 * GREY)

/** One row for each image. */
export function showImages(made: RebuiltValues): readonly Reconstruction[] {
  const { samples, channels, height, width } = made
  const size = channels * height * width
  const tile = (values: Float32Array) => tileOf(values, { channels, height, width })
  return Array.from({ length: samples }, (_, b) => {
    const own = (values: Float32Array) => values.subarray(b * size, (b + 1) * size)
    const hidden = made.hidden && own(made.hidden)
    const unsaid = made.unsaid && own(made.unsaid)
    const original = tile(own(made.truth))
    return {
      original,
      masked: hidden ? tile(own(made.truth).map((value, i) => (hidden[i] === 1 ? GREY : value))) : original,
      rebuilt: made.variants.map(({ statistics, values, quality }) => {
        const whole = own(values)
        const shown = unsaid ? whole.map((x, i) => (unsaid[i] === 1 ? GREY : x)) : whole
        return { statistics, tile: tile(shown), quality: quality[b]! }
      }),
      ...(made.shown && { shown: made.shown(b, original) }),
    }
  })
}

const bandsOf = (composite: Composite): readonly number[] => {
  switch (composite.kind) {
    case 'rgb':
      return composite.bands
    case 'grey':
      return [composite.band]
    case 'ndvi':
      return [composite.red, composite.nearInfrared]
    default:
      return composite satisfies never
  }
}

/** Greys out the pixels of which a shown band is hidden. */
function greyed(tile: Tile, hidden: Float32Array, shown: readonly number[]): Tile {
  const area = tile.width * tile.height
  const pixels = tile.pixels.slice()
  for (let i = 0; i < area; i++)
    if (shown.some((band) => hidden[band * area + i] === 1))
      pixels.fill(GREY_BYTE, i * tile.channels, (i + 1) * tile.channels)
  return { ...tile, pixels }
}

const dateOf = (time: number | undefined): string =>
  time === undefined || Number.isNaN(time) ? '' : new Date(time).toISOString().slice(0, 10)

/** A row for each composite of each date of each sample, without dates that have no data. */
export function showRasters(
  made: RebuiltValues,
  { composites, names }: RasterLook,
): readonly Reconstruction[] {
  const { samples, frames, channels, height, width } = made
  const area = height * width
  const size = channels * area
  return Array.from({ length: samples }, (_, b) => {
    const dates = Array.from({ length: frames }, (_, t) => b * frames + t)
    const image = (values: Float32Array, row: number) => ({
      ...{ values: values.subarray(row * size, (row + 1) * size), height, width },
      valid: made.valid && Uint8Array.from(made.valid.subarray(row * area, (row + 1) * area)),
    })
    const stretch = stretchOf(dates.map((row) => image(made.truth, row)))
    return dates.flatMap((row) =>
      composites.flatMap((composite): Reconstruction[] => {
        const truth = image(made.truth, row)
        if (truth.valid && !truth.valid.includes(1)) return []
        const shown = bandsOf(composite)
        const own = (values: Float32Array) => values.subarray(row * size, (row + 1) * size)
        const hidden = made.hidden && own(made.hidden)
        const unsaid = made.unsaid && own(made.unsaid)
        const original = compositeTile(composite, truth, stretch)
        return [
          {
            ...{ original, masked: hidden ? greyed(original, hidden, shown) : original },
            caption: [names[b], dateOf(made.times?.[row])].filter(Boolean).join(' · '),
            label: composite.name,
            rebuilt: made.variants.map(({ statistics, values, quality }) => {
              const whole = compositeTile(composite, image(values, row), stretch)
              return {
                ...{ statistics, quality: quality[b]! },
                tile: unsaid ? greyed(whole, unsaid, shown) : whole,
              }
            }),
            ...(made.shown && { shown: made.shown(row, original) }),
          },
        ]
      }),
    )
  }).flat()
}
