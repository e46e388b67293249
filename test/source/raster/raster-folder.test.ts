import { describe, expect, it } from 'vitest'
import { openRasterFolder, type RasterOptions } from '../../../src/source/raster/raster-folder.ts'
import { npy, npyTexts, npz, rasterFolder, rasterOptions, type Tiff, tiff, utm } from './make-rasters.ts'

const DAY = 864e5
const june = Date.UTC(2021, 5, 14)
const pair = (options: Partial<Tiff> = {}) =>
  tiff({ width: 6, height: 4, bands: 2, descriptions: ['B02', 'B03'], grid: utm, ...options })
const one = (options: Partial<Tiff> = {}) => tiff({ width: 6, height: 4, grid: utm, ...options })
const open = async (files: Record<string, Uint8Array>, options: Partial<RasterOptions> = {}) =>
  openRasterFolder(await rasterFolder(files), { ...rasterOptions, ...options })
const refuses = async (files: Record<string, Uint8Array>, options: Partial<RasterOptions> = {}) =>
  open(files, options).then(
    () => expect.unreachable(),
    (error: { code: string; message: string }) => {
      expect(error.code).toBe('SOURCE')
      return error.message
    },
  )

describe('a folder of rasters', () => {
  it('is a sample for each file that holds all bands', async () => {
    const folder = await open({
      'b/two_20210614.tif': pair(),
      'a/one.tif': pair({ grid: null }),
      'a/notes.txt': pair(),
    })
    expect(folder.files).toEqual(['a/one.tif', 'b/two_20210614.tif'])
    expect(folder.classes).toEqual(['a', 'b'])
    expect([...folder.labels!]).toEqual([0, 1])
    const place = (file: string) => [
      { file, band: 0 },
      { file, band: 1 },
    ]
    const size = { width: 6, height: 4, window: null }
    expect(folder.rasters).toEqual({
      ...{ bands: ['B2', 'B3'], frames: 1, nodata: null, applyScale: false },
      samples: [
        { frames: [{ time: null, bands: place('a/one.tif') }], ...size, metresPerPixel: null },
        { frames: [{ time: june, bands: place('b/two_20210614.tif') }], ...size, metresPerPixel: 10 },
      ],
    })
    expect(structuredClone(folder)).toEqual(folder)
  })

  it('puts bands together that lie in files of their own, at the finest resolution', async () => {
    const name = 'T32TPT_20210614T101031'
    const folder = await open(
      {
        [`R10m/${name}_B02_10m.tif`]: one(),
        [`R20m/${name}_B8A_20m.tif`]: one({ width: 3, height: 2, grid: { ...utm, metres: 20 } }),
        [`R20m/${name}_SCL_20m.tif`]: one({ width: 3, height: 2, grid: { ...utm, metres: 20 } }),
        [`R10m/${name}_TCI_10m.tif`]: one({ bands: 3 }),
      },
      { bands: ['B8A', 'B2'] },
    )
    expect(folder.files).toEqual([name])
    const time = june + (10 * 60 + 10) * 60_000 + 31_000
    expect(folder.rasters.samples).toEqual([
      {
        frames: [
          {
            time,
            bands: [
              { file: `R20m/${name}_B8A_20m.tif`, band: 0 },
              { file: `R10m/${name}_B02_10m.tif`, band: 0 },
            ],
          },
        ],
        ...{ width: 6, height: 4, window: null, metresPerPixel: 10 },
      },
    ])
  })

  it('reads the names of Landsat and Sentinel-1 files', async () => {
    const landsat = 'LC08_L2SP_195025_20210614_20210622_02_T1'
    const { files, rasters } = await open(
      {
        [`${landsat}_SR_B4.TIF`]: one(),
        [`${landsat}_ST_B10.TIF`]: one(),
        [`${landsat}_QA_PIXEL.TIF`]: one(),
      },
      { bands: ['B4', 'B10'] },
    )
    expect(files).toEqual([landsat])
    expect(rasters.samples[0]!.frames[0]).toMatchObject({
      time: june,
      bands: [{ file: `${landsat}_SR_B4.TIF` }, { file: `${landsat}_ST_B10.TIF` }],
    })
    const radar = await open(
      { 's1_20210614_VV.tif': one(), 's1_20210614_VH.tif': one() },
      { bands: ['VH', 'VV'] },
    )
    expect(radar.files).toEqual(['s1_20210614'])
  })

  it('cuts scenes into windows, the last moved back', async () => {
    const { files, rasters } = await open({ 'a.tif': pair({ width: 10, height: 7 }) }, { window: 4 })
    expect(files).toEqual(['a.tif#0,0', 'a.tif#0,1', 'a.tif#0,2', 'a.tif#1,0', 'a.tif#1,1', 'a.tif#1,2'])
    expect(rasters.samples.map(({ window }) => [window!.left, window!.top, window!.width, window!.height])).toEqual([
      ...[[0, 0, 4, 4], [4, 0, 4, 4], [6, 0, 4, 4]],
      ...[[0, 3, 4, 4], [4, 3, 4, 4], [6, 3, 4, 4]],
    ]) // biome-ignore format: by rows
    expect(rasters.samples[0]!.frames).toBe(rasters.samples[5]!.frames)
  })

  it('makes series of scenes that differ in their date, in the order of time', async () => {
    const files = {
      'x/site_20210614.tif': pair(),
      'x/site_20200101.tif': pair(),
      'x/other_20210614.tif': pair(),
    }
    const folder = await open(files, { frames: 2 })
    expect(folder.files).toEqual(['x/other', 'x/site'])
    expect(folder.rasters.samples.map(({ frames }) => frames.map(({ time }) => time))).toEqual([
      [june],
      [Date.UTC(2020, 0, 1), june],
    ])
    expect((await open(files)).files).toEqual(Object.keys(files).sort())
  })

  it('takes series, date and band from a pattern, and leaves out what does not match', async () => {
    const folder = await open(
      {
        'B2/2021_165/k7.tif': one(),
        'B3/2021_165/k7.tif': one(),
        'B2/2021_166/k7.tif': one(),
        'B3/2021_166/k7.tif': one(),
        'masks/k7.tif': one({ width: 1 }),
      },
      { pattern: '(?<band>B\\d+)/(?<date>\\d{4}_\\d{3})/(?<series>\\w+)\\.tif$', frames: 3 },
    )
    expect(folder.files).toEqual(['k7'])
    expect(folder.rasters.samples[0]!.frames).toEqual([
      { time: june, bands: [{ file: 'B2/2021_165/k7.tif', band: 0 }, { file: 'B3/2021_165/k7.tif', band: 0 }] },
      { time: june + DAY, bands: [{ file: 'B2/2021_166/k7.tif', band: 0 }, { file: 'B3/2021_166/k7.tif', band: 0 }] },
    ]) // biome-ignore format: by rows
  })

  it('orders a series without dates by name', async () => {
    const { rasters } = await open(
      { 'a_10.tif': pair(), 'a_9.tif': pair() },
      { pattern: '(?<series>a)_', frames: 2 },
    )
    expect(rasters.samples[0]!.frames.map(({ bands }) => bands[0]!.file)).toEqual(['a_9.tif', 'a_10.tif'])
  })

  it('takes names of bands from the options where files have none', async () => {
    const bare = tiff({ width: 2, height: 2, bands: 3 })
    const { rasters } = await open({ 'a.tif': bare }, { bandNames: ['B1', 'B3', 'B2'] })
    expect(rasters.samples[0]!.frames[0]!.bands.map(({ band }) => band)).toEqual([2, 1])
    const rgb = tiff({ width: 2, height: 2, bands: 3, tags: { 262: { type: 3, values: [2] } } })
    const colours = await open({ 'a.tif': rgb }, { bands: ['Blue', 'red'] })
    expect(colours.rasters.samples[0]!.frames[0]!.bands.map(({ band }) => band)).toEqual([2, 0])
  })
})

describe('NumPy arrays', () => {
  const cube = (shape: readonly number[]) => npy('u2', shape, (i) => i)
  const bandNames = ['B3', 'B2']
  const shown = async (files: Record<string, Uint8Array>, options: Partial<RasterOptions>) => {
    const folder = await open(files, options)
    return folder.rasters.samples.map(({ frames }, i) => [
      folder.files[i],
      ...frames.map(({ time, item, frame, bands: [{ band } = { band: -1 }] }) => [time, item, frame, band]),
    ])
  }

  it('are samples, or the dates of one', async () => {
    const none = undefined
    expect(await shown({ 'a.npy': cube([2, 3, 4]) }, { bandNames })).toEqual([
      ['a.npy', [null, none, none, 1]],
    ])
    expect(await shown({ 'a.npy': cube([2, 2, 3, 4]) }, { bandNames })).toEqual([
      ['a.npy#0', [null, 0, none, 1]],
      ['a.npy#1', [null, 1, none, 1]],
    ])
    expect(await shown({ 'a.npy': cube([2, 2, 3, 4]) }, { bandNames, frames: 2 })).toEqual([
      ['a.npy', [null, none, 0, 1], [null, none, 1, 1]],
    ])
    expect(await shown({ 'a.npy': cube([1, 2, 2, 3, 4]) }, { bandNames, frames: 2 })).toEqual([
      ['a.npy#0', [null, 0, 0, 1], [null, 0, 1, 1]],
    ])
    expect(await shown({ 'a.npy': cube([1, 2, 2, 3, 4]) }, { bandNames })).toEqual([
      ['a.npy#0#0', [null, 0, 0, 1]],
      ['a.npy#0#1', [null, 0, 1, 1]],
    ])
  })

  it('of an .npz have names and dates, which are sorted', async () => {
    const bands = npyTexts(['B02', 'B3', 'B8A'])
    const dates = npy('M8[D]', [2], (i) => 18_792 - i)
    const file = npz({ images: cube([2, 3, 3, 4]), bands, dates })
    expect(await shown({ 'a.npz': file }, { frames: 2, bands: ['B8A'] })).toEqual([
      ['a.npz', [june - DAY, undefined, 1, 2], [june, undefined, 0, 2]],
    ])
    const seconds = npz({ x: cube([2, 3, 3, 4]), bands, times: npy('i8', [2], (i) => i * 60) })
    expect(await shown({ 'a.npz': seconds }, {})).toEqual([
      ['a.npz#0', [0, 0, undefined, 0]],
      ['a.npz#1', [60_000, 1, undefined, 0]],
    ])
  })

  it('of an .npz may be a member for each band, of any resolution', async () => {
    const file = npz({ B02: cube([4, 6]), b3: cube([2, 3]), lat: npy('f8', [], () => 3) })
    const { files, rasters } = await open({ 's/a.npz': file }, { window: 2 })
    expect(files.length).toBe(6)
    expect(rasters.samples[0]).toEqual({
      frames: [
        {
          time: null,
          bands: [
            { file: 's/a.npz', band: 0, member: 'B02' },
            { file: 's/a.npz', band: 0, member: 'b3' },
          ],
        },
      ],
      ...{ width: 6, height: 4, window: { left: 0, top: 0, width: 2, height: 2 }, metresPerPixel: null },
    })
    const dated = npz({ B2: cube([3, 4, 6]), B3: cube([3, 4, 6]) })
    expect(
      (await open({ 'a.npz': dated }, { frames: 4 })).rasters.samples[0]!.frames.map(({ frame }) => frame),
    ).toEqual([0, 1, 2])
    expect((await open({ 'a.npz': dated })).files).toEqual(['a.npz#0', 'a.npz#1', 'a.npz#2'])
  })

  it('say what does not fit', async () => {
    expect(await refuses({ 'a.npy': cube([2, 3, 4]) })).toMatch(
      /a\.npy has 2 bands and does not say which.*bandNames/,
    )
    expect(await refuses({ 'a.npy': cube([3, 3, 4]) }, { bandNames })).toMatch(/3 bands without names.*has 2/)
    const three = npz({ data: cube([2, 2, 3, 4]), dates: npy('i8', [3], () => 0) })
    expect(await refuses({ 'a.npz': three }, { bandNames, frames: 2 })).toMatch(
      /a\.npz: its 3 dates are not those of 2/,
    )
    const twice = npz({
      data: cube([3, 2, 3, 4]),
      bands: npyTexts(['B2', 'B3']),
      dates: npy('i8', [3], (i) => i % 2),
    })
    expect(await refuses({ 'a.npz': twice }, { frames: 3 })).toMatch(
      /a\.npz has the date 1970-01-01T00:00:00\.000Z twice: at 0 and at 2/,
    )
    const lengths = npz({ B2: cube([3, 4, 6]), B3: cube([2, 4, 6]) })
    expect(await refuses({ 'a.npz': lengths })).toMatch(/different numbers of dates: B2 has 3, B3 has 2/)
  })
})

describe('what is wrong with a folder of rasters', () => {
  it.each<[string, Record<string, Uint8Array>, Partial<RasterOptions>, RegExp]>([
    [
      'no rasters',
      { 'a.jp2': one() },
      {},
      /No rasters in .*: 1 other files were seen, such as "a\.jp2".*\.tif .*\.npz/,
    ],
    [
      'a missing band',
      { 'a.tif': pair() },
      { bands: ['B2', 'B8A'] },
      /^a\.tif has no band B8A\. It has: B02, B03\./,
    ],
    [
      'a mistyped band',
      { 'a.tif': pair({ descriptions: ['red', 'blue'] }) },
      { bands: ['bleu'] },
      /Did you mean "blue"/,
    ],
    [
      'a missing file',
      { 's_20210614_B2.tif': one(), 's_20210614_B4.tif': one() },
      {},
      /^s_20210614 has no band B3\. It has: B2, B4/,
    ],
    [
      'bands that are there twice',
      { 's_B2_10m.tif': one(), 's_B02_20m.tif': one(), 's_B3.tif': one() },
      {},
      /^s has the band B2 twice: in s_B02_20m\.tif and in s_B2_10m\.tif/,
    ],
    [
      'bands twice in one file',
      { 'a.tif': pair({ descriptions: ['B2', 'b02'] }) },
      { bands: ['B2'] },
      /a\.tif has the band B2 twice: in a\.tif, band 1 and in a\.tif, band 2/,
    ],
    [
      'a file that names no band',
      { 'a.tif': tiff({ width: 2, height: 2 }) },
      {},
      /a\.tif has 1 band and does not say which/,
    ],
    [
      'a date that is none',
      { 'a_20211314.tif': pair() },
      { pattern: '_(?<date>\\d+)' },
      /a_20211314\.tif has the date "20211314", which cannot be read: 20210614, /,
    ],
    [
      'a pattern that is none',
      { 'a.tif': pair() },
      { pattern: '(?<band' },
      /The pattern "\(\?<band" is no regular expression/,
    ],
    [
      'a pattern that matches nothing',
      { 'a.tif': pair() },
      { pattern: '^x' },
      /The pattern "\^x" matches none of 1 rasters in .*such as "a\.tif"/,
    ],
    [
      'two scenes of one date',
      { 'a/s_20210614_1.tif': pair(), 'a/s_20210614_2.tif': pair() },
      { frames: 2, pattern: '(?<series>s)_(?<date>\\d+)' },
      /^a\/s_20210614_1\.tif and a\/s_20210614_2\.tif of the series s have the same date, 2021-06-14/,
    ],
    [
      'some dates missing',
      { 's.tif': pair(), 's_20210614.tif': pair() },
      { frames: 2 },
      /^s\.tif has no date, but s_20210614\.tif of the same series/,
    ],
    [
      'another area',
      { 's_B2.tif': one(), 's_B3.tif': one({ grid: { ...utm, left: 600_010 } }) },
      {},
      /bands of s do not lie on each other: B2 in s_B2\.tif covers another area than B3 in s_B3\.tif/,
    ],
    [
      'another system',
      { 's_B2.tif': one(), 's_B3.tif': one({ grid: { ...utm, epsg: 32633 } }) },
      {},
      /B2 in s_B2\.tif is in EPSG:32632, and in EPSG:32633 is B3/,
    ],
    [
      'an odd resolution',
      { 's_B2.tif': one(), 's_B3.tif': one({ width: 4, height: 4 }) },
      {},
      /has 6 x 4 pixels, no whole multiple of the 4 x 4 of B3/,
    ],
    [
      'frames of another size',
      { 's_20210614.tif': pair(), 's_20210615.tif': pair({ width: 5 }) },
      { frames: 2 },
      /frames of the series s differ in size: s_20210614\.tif has 6 x 4 pixels, s_20210615\.tif has 5 x 4/,
    ],
    [
      'frames of another system',
      { 's_20210614.tif': pair(), 's_20210615.tif': pair({ grid: { ...utm, epsg: 32633 } }) },
      { frames: 2 },
      /differ in coordinate reference system: .*EPSG:32632, .*EPSG:32633/,
    ],
    [
      'frames of another resolution',
      { 's_20210614.tif': pair(), 's_20210615.tif': pair({ grid: { ...utm, metres: 20 } }) },
      { frames: 2 },
      /differ in resolution: .*10 m, .*20 m/,
    ],
    [
      'only small scenes',
      { 's.tif': pair() },
      { window: 5 },
      /None of the 1 scenes in .*The first, s\.tif: 6 x 4 pixels are less than a window of 5 x 5/,
    ],
    [
      'only broken files',
      { 's.tif': pair().subarray(0, 40) },
      {},
      /None of the 1 scenes in .*The first, s\.tif: its header .*cut|The first, s\.tif: it is cut short or damaged/,
    ],
  ])('%s', async (_, files, options, message) => {
    expect(await refuses(files, options)).toMatch(message)
  })

  it('reports a path that is no folder', async () => {
    await expect(openRasterFolder('/nowhere/at/all', rasterOptions)).rejects.toThrow(
      /Expected a folder of rasters, but cannot open .*ENOENT/,
    )
    await expect(open({ 'a.tif': pair() }, { bands: ['B2', 'b02'] })).rejects.toMatchObject({
      code: 'VALUE',
      message: expect.stringMatching(/bands to be names of bands, each once/),
    })
    await expect(open({ 'a.tif': pair() }, { frames: 0 })).rejects.toThrow(
      /frames to be a whole number of at least 1/,
    )
  })

  it('does not stop it where only some files are broken', async () => {
    const folder = await open(
      {
        'a.tif': pair().subarray(0, 60),
        'b.tif': pair(),
        'c_B2.tif': one(),
        'c_B3.tif': Buffer.from('x'),
        'small.tif': pair({ width: 3 }),
      },
      { window: 4 },
    )
    expect(folder.files).toEqual(['a.tif', 'b.tif#0,0', 'b.tif#0,1', 'c#0,0', 'c#0,1', 'small.tif#0,0'])
    expect(folder.rasters.samples[0]).toMatchObject({ width: 0, height: 0, window: null })
  })
})
