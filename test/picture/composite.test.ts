import { describe, expect, it } from 'vitest'
import {
  type BandImage,
  compositesOf,
  compositeTile,
  groupComposites,
  ndviColour,
  stretchOf,
} from '../../src/picture/composite.ts'

const sentinel = ['B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B11', 'B12']
const image = (
  bands: number[][],
  { width = bands[0]!.length, valid = null as number[] | null } = {},
): BandImage => ({
  values: Float32Array.from(bands.flat()),
  valid: valid && Uint8Array.from(valid),
  width,
  height: bands[0]!.length / width,
})
const unit = (bands: number) => ({ low: new Array(bands).fill(0), high: new Array(bands).fill(1) })

describe('compositesOf', () => {
  it('finds bands by name, however they are written', () => {
    expect(compositesOf(['true', 'infrared', 'NDVI', 'b11-B08-b4', 'B8a'], sentinel)).toEqual([
      { kind: 'rgb', name: 'true colour', bands: [2, 1, 0] },
      { kind: 'rgb', name: 'infrared', bands: [6, 2, 1] },
      { kind: 'ndvi', name: 'NDVI', red: 2, nearInfrared: 6 },
      { kind: 'rgb', name: 'b11 B08 b4', bands: [8, 6, 2] },
      { kind: 'grey', name: 'B8a', band: 7 },
    ])
    expect(compositesOf(['true'], ['B04', 'b02', 'B03'])).toMatchObject([{ bands: [0, 2, 1] }])
    expect(compositesOf(['VV-sum', 'ndvi'], ['VV-sum', 'NDVI'])).toEqual([
      { kind: 'grey', name: 'VV-sum', band: 0 },
      { kind: 'grey', name: 'ndvi', band: 1 }, // a band of that name comes first
    ])
  })

  it('takes the usual ones that the bands allow', () => {
    const names = (bands: string[]) => compositesOf([], bands).map(({ name }) => name)
    expect(names(sentinel)).toEqual(['true colour', 'NDVI'])
    expect(names(['B02', 'B03', 'B04'])).toEqual(['true colour'])
    expect(names(['B4', 'B8'])).toEqual(['NDVI'])
    expect(names(['VV', 'VH', 'HH', 'HV'])).toEqual(['VV VH HH'])
    expect(compositesOf([], ['VV', 'VH', 'HH', 'HV'])).toEqual([
      { kind: 'rgb', name: 'VV VH HH', bands: [0, 1, 2] },
    ])
    expect(compositesOf([], ['VV', 'VH'])).toEqual([{ kind: 'grey', name: 'VV', band: 0 }])
  })

  it.each([
    [
      ['ndvi'],
      ['B4', 'B8A'],
      /Composite "ndvi": there is no band B8 among B4, B8A\. Expected true, infrared, ndvi/,
    ],
    [['B8-B4-B99'], sentinel, /"B8-B4-B99": there is no band B99/],
    [['fog'], sentinel, /there is no band fog/],
    [['B8-B4'], sentinel, /expected one band or three, got 2/],
    [['B8-B4-B3-B2'], sentinel, /expected one band or three, got 4/],
    [['constructor'], sentinel, /there is no band constructor/],
    [[], [], /at least one band/],
  ])('refuses %j of %j', (asked, bands, message) => {
    expect(() => compositesOf(asked, bands)).toThrow(message)
    expect(() => compositesOf(asked, bands)).toThrow(expect.objectContaining({ code: 'VALUE' }))
  })
})

describe('stretchOf', () => {
  it('takes the 2nd and the 98th percentile over all images, linear between two values', () => {
    // 101 values 0 … 100 in two images: the 2nd percentile is 2, the 98th is 98.
    const values = Array.from({ length: 101 }, (_, i) => (i * 37) % 101)
    const parts = [values.slice(0, 40), values.slice(40)]
    const stretch = stretchOf(parts.map((part) => image([part, part.map((v) => -v / 2)])))
    expect(stretch).toEqual({ low: [2, -49], high: [98, -1] })
    const { low, high } = stretchOf([image([[0, 1]])])
    expect([low[0], high[0]]).toEqual([expect.closeTo(0.02, 6), expect.closeTo(0.98, 6)])
  })

  it('leaves out what is not data, and does without any', () => {
    const seen = image([[5, 900, 5, Number.NaN]], { valid: [1, 0, 1, 1] })
    expect(stretchOf([seen])).toEqual({ low: [5], high: [5] })
    expect(stretchOf([image([[7, 8]], { valid: [0, 0] })])).toEqual({ low: [0], high: [1] })
    expect(stretchOf([])).toEqual({ low: [], high: [] })
  })

  it('refuses images of different bands', () => {
    expect(() => stretchOf([image([[1]]), image([[1], [2]])])).toThrow(/images of the same bands, got 1, 2/)
  })
})

describe('compositeTile', () => {
  it('stretches each band on its own, clips, and lifts the dark: 255 · share^(1/1.3)', () => {
    const shown = image([
      [0, 100, 200, 300],
      [10, 15, 20, 5],
      [1, 1, 1, 1],
    ])
    const stretch = { low: [100, 10, 1], high: [300, 20, 1] }
    const tile = compositeTile({ kind: 'rgb', name: '', bands: [0, 1, 2] }, shown, stretch)
    const half = Math.round(255 * 0.5 ** (1 / 1.3))
    expect(half).toBe(150)
    expect(tile).toEqual({
      ...{ width: 4, height: 1, channels: 3 },
      // A band without a range is in the middle.
      pixels: Uint8Array.of(...[0, 0, half], ...[0, half, half], ...[half, 255, half], ...[255, 0, half]),
    })
    const swapped = compositeTile({ kind: 'rgb', name: '', bands: [1, 0, 0] }, shown, stretch)
    expect([...swapped.pixels.subarray(3, 6)]).toEqual([half, 0, 0])
  })

  it('shows one band in grey, linearly', () => {
    const tile = compositeTile(
      { kind: 'grey', name: '', band: 1 },
      image(
        [
          [9, 9, 9, 9],
          [0, 0.5, 1, 2],
        ],
        { width: 2 },
      ),
      unit(2),
    )
    expect(tile).toEqual({ width: 2, height: 2, channels: 1, pixels: Uint8Array.of(0, 128, 255, 255) })
  })

  it('shows vegetation from red over yellow to green, whatever the stretch', () => {
    const red = [0.3, 0.13, 0.02, 0.02, 0]
    const infrared = [0.1, 0.27, 0.02, 0.5, 0]
    const tile = compositeTile(
      { kind: 'ndvi', name: '', red: 0, nearInfrared: 1 },
      image([red, infrared]),
      unit(2),
    )
    const at = (i: number) => [...tile.pixels.subarray(3 * i, 3 * i + 3)]
    expect(at(0)).toEqual([165, 0, 38]) // −0.5, below the scale
    expect(at(1)).toEqual([255, 255, 191]) // 0.35, its middle
    expect(at(2)).toEqual(ndviColour(0))
    expect(at(3)).toEqual([0, 104, 55]) // 0.92, above it
    expect(at(4)).toEqual([196, 196, 196]) // 0 / 0 is no data
  })

  it('hatches what has no data, in every kind', () => {
    const bands = [
      [0, 0, 0, 0, Number.NaN, 0],
      [0, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, Number.NEGATIVE_INFINITY],
    ]
    const shown = image(bands, { valid: [0, 0, 1, 1, 1, 1], width: 3 })
    const reds = (tile: { pixels: Uint8Array; channels: number }) =>
      [...tile.pixels].filter((_, i) => i % tile.channels === 0)
    const [line, field] = [196, 226]
    const rgb = compositeTile({ kind: 'rgb', name: '', bands: [0, 1, 2] }, shown, unit(3))
    expect(reds(rgb)).toEqual([line, field, 0, 0, field, field])
    expect([...rgb.pixels.subarray(3, 6)]).toEqual([field, field, field])
    const grey = compositeTile({ kind: 'grey', name: '', band: 1 }, shown, unit(3))
    expect(reds(grey)).toEqual([line, field, 0, 0, 0, 0]) // only its own band must be known
  })

  it('refuses a band that the image lacks', () => {
    expect(() => compositeTile({ kind: 'grey', name: '', band: 2 }, image([[1], [1]]), unit(2))).toThrow(
      /band 2 is not among the 2 bands/,
    )
  })
})

describe('ndviColour', () => {
  it('goes from red over yellow to green without a step, lightest in the middle', () => {
    const colours = Array.from({ length: 1101 }, (_, i) => ndviColour(-0.2 + i / 1000))
    expect([colours[0], colours.at(-1)]).toEqual([
      [165, 0, 38],
      [0, 104, 55],
    ])
    const light = colours.map(([red, green, blue]) => 0.2126 * red + 0.7152 * green + 0.0722 * blue)
    expect(light.indexOf(Math.max(...light))).toBeCloseTo(550, -1)
    for (const [i, value] of light.slice(1).entries()) {
      expect(Math.abs(value - light[i]!)).toBeLessThan(1.5)
      const rises = i < 550 ? value - light[i]! : light[i]! - value
      expect(rises).toBeGreaterThan(-1.2) // but for rounding
    }
    expect([ndviColour(-1), ndviColour(1)]).toEqual([colours[0], colours.at(-1)])
  })
})

describe('groupComposites', () => {
  const names = (bands: string[], groups: string[][] | null) =>
    groupComposites([], bands, groups).map(({ name }) => name)

  it('adds to the usual ones what they do not show of the groups', () => {
    const groups = [
      ['B02', 'b3', 'B4', 'B8'],
      ['B5', 'B6', 'B7', 'B8A'],
      ['B11', 'B12'],
    ]
    expect(groupComposites([], sentinel, groups)).toEqual([
      { kind: 'rgb', name: 'true colour', bands: [2, 1, 0] },
      { kind: 'ndvi', name: 'NDVI', red: 2, nearInfrared: 6 },
      { kind: 'rgb', name: 'B7 B6 B5', bands: [5, 4, 3] }, // the first three, the longest wave as red
      { kind: 'grey', name: 'B11', band: 8 },
    ])
    // Colours that are spread over groups show none of them.
    expect(names(['B2', 'B3', 'B4'], [['B2'], ['B3', 'B4']])).toEqual(['true colour', 'B2', 'B3'])
  })

  it('is what is asked for where something is, and the usual ones without groups', () => {
    expect(groupComposites(['B12'], sentinel, [['B2'], ['B5']])).toEqual([
      { kind: 'grey', name: 'B12', band: 9 },
    ])
    expect(names(sentinel, null)).toEqual(['true colour', 'NDVI'])
  })

  it('shows no group twice', () => {
    expect(names(['VV', 'VH'], [['VV'], ['VH']])).toEqual(['VV', 'VH'])
  })

  it('takes bands whose names have a hyphen', () => {
    const bands = ['B9', 'B8', 'B1', 'VV-asc', 'VH-asc', 'VV-desc']
    const groups = [bands.slice(0, 3), ['VH-asc', 'VV-desc', 'VV-asc']]
    expect(groupComposites([], bands, groups).map((each) => each.kind === 'rgb' && each.bands)).toEqual([
      [0, 1, 2],
      [3, 5, 4],
    ])
  })
})
