// Reconstructions of rasters: groups of bands, dates, gaps. What is shown, what it is called, and what it does not leak.
import { describe, expect, it } from 'vitest'
import type { BackboneShape } from '../../src/model/backbone-shape.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { mae } from '../../src/objective/mae.ts'
import { type Composite, compositeTile, stretchOf } from '../../src/picture/composite.ts'
import { type Reconstructions, reconstruct } from '../../src/picture/reconstruction.ts'
import { type BandStatistics, bandStatistics } from '../../src/target/band-pixels.ts'
import type { StatisticsUsed } from '../../src/target/patch-statistics.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { type MaskPlan, planFromMask } from '../../src/token/mask.ts'
import { stirredParameters, tinyDecoder } from '../model/tiny-model.ts'
import {
  at,
  bands,
  dates,
  H,
  L,
  values as perSample,
  series,
  T,
  viewsOfValues,
  W,
} from '../model/tiny-series.ts'
import { wave } from '../tolerance.ts'

const B = 2
const whole = {
  ...series,
  groups: [
    [3, 0],
    [1, 2],
  ],
}
// The files' units: a thousand or so, each band its own. They are normalised as they would be.
const channelStatistics = { mean: [1000, 800, 1500, 2000], std: [200, 100, 400, 500] }
const bandAt = (i: number) => Math.floor(i / (H * W)) % bands
const physical = wave(B * perSample, 7).map((x, i) => {
  const band = bandAt(i)
  return Math.fround(channelStatistics.mean[band]! + 1.5 * x * channelStatistics.std[band]!)
})
// No data: sample 0 lacks a pixel of a seen token and one of a hidden token of frame 0; sample 1 lacks frame 1.
const gaps = (sample: number, frame: number, row: number, column: number) =>
  sample === 0 ? frame === 0 && ((row === 0 && column === 0) || (row === 3 && column === 5)) : frame === 1

const composites: Composite[] = [
  { kind: 'rgb', name: 'colour', bands: [3, 1, 0] },
  { kind: 'grey', name: 'B3', band: 2 },
  { kind: 'ndvi', name: 'NDVI', red: 0, nearInfrared: 3 },
]

interface Place {
  readonly b: number
  readonly frame: number
  readonly band: number
  readonly row: number
  readonly column: number
}
const placesOf = (i: number): Place => ({
  ...{ b: Math.floor(i / perSample), frame: Math.floor(i / (bands * H * W)) % T, band: bandAt(i) },
  ...{ row: Math.floor(i / W) % H, column: i % W },
})
const isGap = ({ b, frame, row, column }: Place) => gaps(b, frame, row, column)
const locationOf = ({ row, column }: Place) => Math.floor(row / 2) * 3 + Math.floor(column / 2)

/** Sample 0 sees 4 tokens of each group in frame 0 and 1 and 3 of frame 1, sample 1 only tokens of its frame 0. */
const seen = [
  [
    [0, 1, 4],
    [2, 3, 5],
    [1, 2, 4],
    [0, 5],
  ], // group 0 in frame 0, in frame 1; group 1 in frame 0, in frame 1
  [[0, 1, 2, 4, 5], [], [0, 1, 2, 3, 4, 5], []],
]
const masks = seen.map((sets) => sets.flatMap((set) => Array.from({ length: L }, (_, l) => !set.includes(l))))
const isHidden = (place: Place, groups: readonly (readonly number[])[]) => {
  const group = groups.findIndex((each) => each.includes(place.band))
  return group < 0 || masks[place.b]![(group * T + place.frame) * L + locationOf(place)]!
}

interface Case {
  readonly shape?: BackboneShape
  readonly normalizeTarget?: boolean
  readonly by?: BandStatistics
  readonly values?: readonly number[]
  readonly wanted?: StatisticsUsed[]
  /** Says what it should have said, for every token; with an error in the files' units. */
  readonly oracle?: boolean
  readonly error?: (i: number) => number
  readonly limits?: { low: number[]; high: number[] }
}

function run({ shape = whole, normalizeTarget = true, by = 'group', oracle, error, limits, ...rest }: Case) {
  const values = rest.values ?? physical
  const normal = values.map(
    (x, i) => (x - channelStatistics.mean[bandAt(i)]!) / channelStatistics.std[bandAt(i)]!,
  )
  return scope(() => {
    const objective = mae({
      ...{ ...shape, decoder: tinyDecoder, maskRatio: 0.5, normalizeTarget, statistics: by, device: 'cpu' },
    })
    const parameters = stirredParameters(objective)
    const view = viewsOfValues(
      B,
      normal.map((x, i) => (isGap(placesOf(i)) ? Number.NaN : x)),
      dates,
    )
    const said = oracle && targets(normal, { shape, by: normalizeTarget ? by : null, error })
    const result = reconstruct({
      objective: said ? { predict: () => ({ latent: said, prediction: said }) } : objective,
      ...{ shape, normalizeTarget, bandStatistics: by, view, plan: planOf() },
      weights: weightsOf(parameters),
      channelStatistics: { ...channelStatistics, ...limits },
      ...(rest.wanted && { statistics: rest.wanted }),
      look: { composites, names: ['north', 'south'] },
    })
    for (const parameter of parameters.values()) parameter.dispose()
    return result
  })
}
const planOf = (): MaskPlan => planFromMask(masks)

/** What heads should say, [B, T · L, 4 pixels, 4 bands], in double precision; zeros for a band that no group has. */
function targets(
  normal: readonly number[],
  { shape, by, error }: { shape: BackboneShape; by: BandStatistics | null; error: Case['error'] },
) {
  const said = new Float32Array(B * T * L * 16)
  for (let b = 0; b < B; b++)
    for (let frame = 0; frame < T; frame++)
      for (let location = 0; location < L; location++)
        for (const group of shape.groups!) {
          const index = (band: number, pixel: number) =>
            b * perSample +
            at(frame, band, 2 * Math.floor(location / 3) + (pixel >> 1), 2 * (location % 3) + (pixel & 1))
          const there = [0, 1, 2, 3].filter((pixel) => !isGap(placesOf(index(0, pixel))))
          for (const band of group) {
            const among = { group, band: [band], all: [0, 1, 2, 3] }[by ?? 'group']
            const x = among.flatMap((each) => there.map((pixel) => normal[index(each, pixel)]!))
            const mean = by ? x.reduce((p, q) => p + q, 0) / Math.max(x.length, 1) : 0
            const variance = x.reduce((p, q) => p + (q - mean) ** 2, 0) / Math.max(x.length - 1, 1)
            const deviation = by ? Math.sqrt(variance + 1e-6) : 1
            for (const pixel of there) {
              const i = index(band, pixel)
              const off = (error?.(i) ?? 0) / channelStatistics.std[band]!
              said[((b * T + frame) * L + location) * 16 + pixel * 4 + band] =
                (normal[i]! - mean) / deviation + off
            }
          }
        }
  return tensor(said, [B, T * L, 16])
}

/** The tiles of a sample's dates, from its values. */
function tilesBy(values: readonly number[]) {
  return [0, 1].flatMap((b) => {
    const image = (frame: number) => ({
      values: Float32Array.from(values.slice(b * perSample, (b + 1) * perSample)).subarray(
        frame * bands * H * W,
        (frame + 1) * bands * H * W,
      ),
      valid: Uint8Array.from({ length: H * W }, (_, i) => Number(!gaps(b, frame, Math.floor(i / W), i % W))),
      ...{ height: H, width: W },
    })
    const stretch = stretchOf([image(0), image(1)])
    const shown = b === 0 ? [0, 1] : [0]
    return shown.flatMap((frame) => composites.map((each) => compositeTile(each, image(frame), stretch)))
  })
}
const variant = ({ images }: Reconstructions, wanted: StatisticsUsed) =>
  images.map(({ rebuilt }) => rebuilt.find(({ statistics }) => statistics === wanted)!)
/** How far bytes are apart at most: values that went through the normalisation and back may round to the next. */
const furthest = (a: readonly { pixels: Uint8Array }[], b: readonly { pixels: Uint8Array }[]) => {
  expect(a.map(({ pixels }) => pixels.length)).toEqual(b.map(({ pixels }) => pixels.length))
  return Math.max(
    ...a.flatMap(({ pixels }, i) => [...pixels].map((byte, j) => Math.abs(byte - b[i]!.pixels[j]!))),
  )
}

it('shows each composite of each date that has data, and says which', () => {
  const made = run({})
  const shown = (caption: string) => ['colour', 'B3', 'NDVI'].map((label) => [caption, label])
  expect(made.images.map(({ caption, label }) => [caption, label])).toEqual([
    ...shown('north · 2020-02-29'),
    ...shown('north · 2021-07-01'),
    ...shown('south · 2020-02-29'),
  ])
  expect([made.samples, made.bands]).toEqual([2, null])
  expect(made.hiddenShare).toBeCloseTo(13 / 24, 9)
})

it('shows the original in the files’ units, hides what is hidden, and pastes what is seen', () => {
  const made = run({})
  const expected = tilesBy(physical)
  expect(
    furthest(
      made.images.map(({ original }) => original),
      expected,
    ),
  ).toBeLessThanOrEqual(1)
  const dated = [
    [0, 0],
    [0, 1],
    [1, 0],
  ] as const
  for (const [n, { original, masked, rebuilt }] of made.images.entries()) {
    const [b, frame] = dated[Math.floor(n / 3)]!
    const shown = [[3, 1, 0], [2], [0, 3]][n % 3]!
    for (let i = 0; i < H * W; i++) {
      const [row, column] = [Math.floor(i / W), i % W]
      const ofPixel = ({ pixels, channels }: typeof original) => [
        ...pixels.subarray(i * channels, (i + 1) * channels),
      ]
      const hidden = shown.some((band) => isHidden({ b, frame, band, row, column }, whole.groups))
      expect(ofPixel(masked)).toEqual(hidden ? ofPixel(original).map(() => 209) : ofPixel(original))
      if (hidden) continue
      for (const { tile } of rebuilt) expect(ofPixel(tile)).toEqual(ofPixel(original))
    }
  }
})

describe('a perfect prediction', () => {
  it.each([...bandStatistics, null])('gives the original back with true statistics, by %s', (by) => {
    const wanted = by ? 'true' : 'raw'
    const made = run({ oracle: true, normalizeTarget: by !== null, ...(by && { by }), wanted: [wanted] })
    const rebuilt = variant(made, wanted)
    expect(
      furthest(
        rebuilt.map(({ tile }) => tile),
        made.images.map(({ original }) => original),
      ),
    ).toBeLessThanOrEqual(1)
    for (const { quality } of rebuilt) {
      expect(quality.psnr).toBeGreaterThan(90)
      expect(quality.ssim).toBeCloseTo(1, 4)
    }
  })

  it('is measured on hidden values that are there: a tenth of the clipping range too much is 20 dB', () => {
    const limits = { low: [0, 0, 0, 0], high: [4000, 2000, 4000, 8000] }
    const error = (i: number) => 0.1 * limits.high[bandAt(i)]!
    const made = run({ oracle: true, normalizeTarget: false, limits, error })
    for (const { quality } of variant(made, 'raw')) expect(quality.psnr).toBeCloseTo(20, 3)
    // Where only what is seen is wrong, nothing is.
    const seenOnly = (i: number) => (isHidden(placesOf(i), whole.groups) ? 0 : error(i))
    for (const { quality } of variant(
      run({ oracle: true, normalizeTarget: false, limits, error: seenOnly }),
      'raw',
    ))
      expect(quality.psnr).toBeGreaterThan(90)
  })
})

describe('"neighbours"', () => {
  // The hidden values of each band of a sample change places, so that the stretch of the tiles stays.
  const moved = (groups: readonly (readonly number[])[]) => {
    const made = [...physical]
    for (let b = 0; b < B; b++)
      for (let band = 0; band < bands; band++) {
        const own = [...physical.keys()].filter((i) => {
          const place = placesOf(i)
          return place.b === b && place.band === band && !isGap(place) && isHidden(place, groups)
        })
        for (const [j, i] of own.entries()) made[i] = physical[own[(j + 5) % own.length]!]!
      }
    return made
  }
  const tiles = (made: Reconstructions, wanted: StatisticsUsed) =>
    variant(made, wanted).map(({ tile }) => [...tile.pixels])

  it.each(bandStatistics)('takes nothing from hidden pixels, normalised by %s', (by) => {
    const [before, after] = [run({ by }), run({ by, values: moved(whole.groups) })]
    expect(after.images.map(({ original }) => original)).not.toEqual(
      before.images.map(({ original }) => original),
    )
    expect(tiles(after, 'true')).not.toEqual(tiles(before, 'true'))
    expect(tiles(after, 'neighbours')).toEqual(tiles(before, 'neighbours'))
  })

  it('raw predictions take nothing from them either', () => {
    const options = { normalizeTarget: false, wanted: ['raw'] as StatisticsUsed[] }
    expect(tiles(run({ ...options, values: moved(whole.groups) }), 'raw')).toEqual(tiles(run(options), 'raw'))
  })

  it('is the mean of the nearest seen tokens: by hand, for a head that says nothing', () => {
    // Without a prediction a hidden patch is its guessed mean. Group 1 sees locations 0 and 5 of the second date of sample 0.
    const silent = scope(() => {
      const nothing = tensor(Array(B * T * L * 16).fill(0), [B, T * L, 16])
      const normal = physical.map(
        (x, i) => (x - channelStatistics.mean[bandAt(i)]!) / channelStatistics.std[bandAt(i)]!,
      )
      return reconstruct({
        objective: { predict: () => ({ latent: nothing, prediction: nothing }) },
        ...{
          shape: whole,
          normalizeTarget: true,
          bandStatistics: 'band',
          view: viewsOfValues(B, normal, dates),
        },
        ...{ weights: weightsOf(new Map()), plan: planOf(), channelStatistics, statistics: ['neighbours'] },
        look: { composites, names: [] },
      })
    })
    const mean = (location: number) => {
      const [row, column] = [2 * Math.floor(location / 3), 2 * (location % 3)]
      return (
        [0, 1]
          .flatMap((y) => [0, 1].map((x) => physical[at(1, 2, row + y, column + x)]!))
          .reduce((a, b) => a + b) / 4
      )
    }
    const { low, high } = stretchOf([
      {
        values: Float32Array.from(physical.slice(0, perSample).filter((_, i) => bandAt(i) === 2)),
        ...{ valid: null, height: H, width: W * T },
      },
    ])
    const grey = (value: number) => Math.round((255 * (value - low[0]!)) / (high[0]! - low[0]!))
    const tile = silent.images[4]!.rebuilt[0]!.tile // the grey one of the second date
    // Location 1 is 1 away from 0, √2 from 5; location 3 is 1 from 0 and 2 from 5.
    for (const [location, near, far] of [
      [1, 1, 2],
      [3, 1, 4],
    ] as const) {
      const guess = (mean(0) / near + mean(5) / far) / (1 / near + 1 / far)
      const first = 2 * Math.floor(location / 3) * W + 2 * (location % 3)
      for (const i of [first, first + 1, first + W, first + W + 1])
        expect(Math.abs(tile.pixels[i]! - grey(guess))).toBeLessThanOrEqual(1)
    }
  })
})

it('a band that no group has is never seen, and shown as its mean', () => {
  const shape = { ...series, groups: [[3, 0], [1]] }
  const made = run({ shape })
  const grey = made.images.filter(({ label }) => label === 'B3')
  for (const { masked, rebuilt } of grey) {
    expect([...masked.pixels]).toEqual(Array(H * W).fill(209))
    const [first] = rebuilt
    expect(new Set([...first!.tile.pixels].filter((byte) => byte !== 226 && byte !== 196)).size).toBe(1)
  }
})

it('leaks no tensors', () => {
  const before = liveTensors()
  run({})
  expect(liveTensors()).toBe(before)
})
