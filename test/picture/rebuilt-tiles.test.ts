import { describe, expect, it } from 'vitest'
import {
  type RasterLook,
  type RebuiltValues,
  showImages,
  showRasters,
} from '../../src/picture/rebuilt-tiles.ts'

const [GREY, LINE, FIELD] = [209, 196, 226] // hidden; no data, where (x + y) % 4 is 0, and elsewhere
const quality = (psnr: number) => ({ psnr, ssim: 0.5 })
const floats = (values: readonly number[]) => Float32Array.from(values)

describe('showImages', () => {
  // Two images of two bands of 1 × 2 pixels: a tile shows the first band.
  const made: RebuiltValues = {
    ...{ samples: 2, frames: 1, channels: 2, height: 1, width: 2, valid: null, times: null },
    truth: floats([...[0, 1], ...[0.1, 0.1], ...[0.2, 0.4], ...[0.1, 0.1]]),
    hidden: floats([...[1, 0], ...[1, 0], ...[0, 1], ...[0, 1]]),
    variants: [
      {
        statistics: 'raw',
        values: floats([...[0.6, 1], ...[0, 0], ...[0.2, 0.8], ...[0, 0]]),
        quality: [quality(10), quality(20)],
      },
    ],
  }

  it('by hand: original, hidden pixels in grey, rebuilt', () => {
    const grey = (...pixels: number[]) => ({
      width: 2,
      height: 1,
      channels: 1,
      pixels: Uint8Array.from(pixels),
    })
    expect(showImages(made)).toEqual([
      {
        ...{ original: grey(0, 255), masked: grey(GREY, 255) },
        rebuilt: [{ statistics: 'raw', tile: grey(153, 255), quality: quality(10) }],
      },
      {
        ...{ original: grey(51, 102), masked: grey(51, GREY) },
        rebuilt: [{ statistics: 'raw', tile: grey(51, 204), quality: quality(20) }],
      },
    ])
  })
})

it('greys what is hidden and not predicted in the rebuilt image, and shows the original where nothing is hidden', () => {
  const made: RebuiltValues = {
    ...{ samples: 1, frames: 1, channels: 1, height: 1, width: 3, valid: null, times: null },
    truth: floats([1, 0.2, 0.4]),
    hidden: floats([0, 1, 1]),
    unsaid: floats([0, 1, 0]),
    variants: [{ statistics: 'raw', values: floats([1, 0.2, 0.6]), quality: [quality(10)] }],
  }
  const [row] = showImages(made)
  expect([...row!.rebuilt[0]!.tile.pixels]).toEqual([255, GREY, 153])
  const [whole] = showImages({ ...made, hidden: null, unsaid: null })
  expect([...whole!.masked.pixels]).toEqual([255, 51, 102])
})

describe('showRasters', () => {
  // Two samples of two dates of two bands of 1 × 3 pixels, in the files' units.
  const truth = [
    ...[...[0, 50, 100], ...[10, 20, 30]],
    ...[...[100, 0, 50], ...[30, 30, 10]],
    ...[...[7, 7, 7], ...[1, 2, 3]],
    ...[...[0, 0, 0], ...[0, 0, 0]],
  ]
  const made: RebuiltValues = {
    ...{ samples: 2, frames: 2, channels: 2, height: 1, width: 3 },
    truth: floats(truth),
    // Band 0 hides pixel 0 of the first date of sample 0, band 1 pixel 2 of its second date.
    hidden: floats(truth.map((_, i) => Number(i === 0 || i === 11))),
    // Sample 0 lacks pixel 1 of its first date; sample 1 lacks its second date.
    valid: floats([...[1, 0, 1], ...[1, 1, 1], ...[1, 1, 1], ...[0, 0, 0]]),
    times: Float64Array.of(Date.UTC(2021, 5, 1, 10), Number.NaN, Date.UTC(1999, 11, 31, 23, 59), 0),
    variants: [
      { statistics: 'true', values: floats(truth.map((x) => 100 - x)), quality: [quality(1), quality(2)] },
    ],
  }
  const look: RasterLook = {
    names: ['north', 'south'],
    composites: [
      { kind: 'grey', name: 'B1', band: 0 },
      { kind: 'grey', name: 'B2', band: 1 },
    ],
  }
  const rows = showRasters(made, look)

  it('has a row for each composite of each date that has data, and says which', () => {
    expect(rows.map(({ caption, label }) => [caption, label])).toEqual([
      ['north · 2021-06-01', 'B1'],
      ['north · 2021-06-01', 'B2'],
      ['north', 'B1'], // no date is known
      ['north', 'B2'],
      ['south · 1999-12-31', 'B1'],
      ['south · 1999-12-31', 'B2'],
    ])
    const nameless = showRasters({ ...made, times: null }, { ...look, names: ['', ''] })
    expect(nameless.map(({ caption, label }) => [caption, label])).toEqual(
      ['B1', 'B2', 'B1', 'B2', 'B1', 'B2'].map((label) => ['', label]),
    )
  })

  it('by hand: one stretch for all dates of a sample, grey for what is hidden, hatched where there is no data', () => {
    // Valid values of band 0: 0 100 100 0 50, sorted 0 0 50 100 100: percentiles 0 and 100. Of band 1: 10 30 30 30 10.
    const pixels = (row: number) => {
      const { original, masked, rebuilt } = rows[row]!
      return [original, masked, rebuilt[0]!.tile].map((tile) => [...tile.pixels])
    }
    expect(pixels(0)).toEqual([
      [0, FIELD, 255],
      [GREY, FIELD, 255],
      [255, FIELD, 0],
    ])
    expect(pixels(1)).toEqual([
      [0, FIELD, 255], // hidden is another band
      [0, FIELD, 255],
      [255, FIELD, 255],
    ])
    expect(pixels(2)).toEqual([
      [255, 0, 128],
      [255, 0, 128],
      [0, 255, 128],
    ])
    expect(pixels(3)[1]).toEqual([255, 255, GREY])
    expect(pixels(4)[0]).toEqual([128, 128, 128]) // a band without a range is in the middle
    expect(rows.map(({ rebuilt }) => rebuilt[0]!.quality.psnr)).toEqual([1, 1, 1, 1, 2, 2])
  })

  it('hides a pixel of colours, or of NDVI, when any band that is shown is hidden', () => {
    const colours = showRasters(made, {
      names: ['north', 'south'],
      composites: [
        { kind: 'rgb', name: 'rgb', bands: [1, 1, 0] },
        { kind: 'ndvi', name: 'NDVI', red: 0, nearInfrared: 1 },
      ],
    })
    const hiddenPixels = ({ masked }: (typeof colours)[number]) =>
      [0, 1, 2].filter((i) => [0, 1, 2].every((c) => masked.pixels[3 * i + c] === GREY))
    expect(colours.map(hiddenPixels)).toEqual([[0], [0], [2], [2], [], []])
    expect([...colours[0]!.masked.pixels.subarray(3, 6)]).toEqual([FIELD, FIELD, FIELD])
  })

  it('hatches by the place in the tile', () => {
    const none = { ...made, valid: floats([...[0, 1, 0], ...Array(9).fill(1)]) }
    expect([...showRasters(none, look)[0]!.original.pixels]).toEqual([LINE, expect.any(Number), FIELD])
  })
})
