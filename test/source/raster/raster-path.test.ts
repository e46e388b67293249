import { describe, expect, it } from 'vitest'
import { bandInName, canonicalBand } from '../../../src/source/raster/band-names.ts'
import { datesIn, parseDate } from '../../../src/source/raster/raster-dates.ts'
import { pathReader } from '../../../src/source/raster/raster-path.ts'

describe('names of bands', () => {
  it.each([
    ['B02', 'b2'],
    ['b2', 'b2'],
    ['B8A', 'b8a'],
    ['B08A', 'b8a'],
    ['B10', 'b10'],
    ['B0', 'b0'],
    ['B100', 'b100'],
    ['VV', 'vv'],
    ['B2, central wavelength 490 nm', 'b2'],
    [' Red (665 nm)', 'red'],
  ])('%s is %s', (name, canonical) => expect(canonicalBand(name)).toBe(canonical))

  it.each<[string, readonly string[], string | null, string | null]>([
    ['T32TPT_20210614T101031_B02_10m', [], 'B02', 'T32TPT_20210614T101031'],
    ['x/IMG_DATA/R20m/T32TPT_20210614T101031_B8A_20m', [], 'B8A', 'x/IMG_DATA/T32TPT_20210614T101031'],
    ['LC08_L2SP_195025_20210614_20210622_02_T1_SR_B4', [], 'B4', 'LC08_L2SP_195025_20210614_20210622_02_T1'],
    ['LC08_T1_SR_B4', ['SR_B4'], 'SR_B4', 'LC08_T1'],
    ['LC08_T1_QA_PIXEL', [], 'QA_PIXEL', 'LC08_T1'],
    ['s1-iw-grd-vv-20210614', [], 'vv', 's1-iw-grd-20210614'],
    ['B03/scene', [], null, null],
    ['scene.red', ['red', 'nir'], 'red', 'scene'],
    ['reddish', ['red'], null, null],
    ['B04', [], 'B04', ''],
    ['b2_site_B3', [], 'B3', 'b2_site'],
  ])('in %s', (path, wanted, band, rest) => {
    expect(bandInName(path, wanted)).toEqual(band === null ? null : { band, rest })
  })
})

describe('dates in names', () => {
  it.each<[string, number | null]>([
    ['20210614', Date.UTC(2021, 5, 14)],
    ['20210614T101031', Date.UTC(2021, 5, 14, 10, 10, 31)],
    ['2021-06-14', Date.UTC(2021, 5, 14)],
    ['2021_06_14', Date.UTC(2021, 5, 14)],
    ['2021-06-14T10:10:31Z', Date.UTC(2021, 5, 14, 10, 10, 31)],
    ['2021-06-14T10:10:31.250+02:00', Date.UTC(2021, 5, 14, 8, 10, 31, 250)],
    ['2021-06-14T10:10', Date.UTC(2021, 5, 14, 10, 10)],
    ['2021_165', Date.UTC(2021, 5, 14)],
    ['2021165', Date.UTC(2021, 5, 14)],
    ['A2020366', Date.UTC(2020, 11, 31)],
    ['2021366', null],
    ['2021000', null],
    ['20210229', null],
    ['20211314', null],
    ['2021-06_14', null],
    ['20210614T251031', null],
    ['18991231', null],
    ['yesterday', null],
    ['', null],
  ])('%s', (text, time) => expect(parseDate(text)).toBe(time))

  it('are found where they are hardly anything else', () => {
    const found = (text: string) => datesIn(text).map(({ from, to }) => text.slice(from, to))
    expect(found('S2A_20210614T101031_N0300_20210614T140000')).toEqual(['20210614T101031', '20210614T140000'])
    expect(found('tile_2021_165 195025 120210614 99999999 2021-06-14')).toEqual(['2021-06-14'])
  })
})

describe('paths', () => {
  const facts = (pattern: string | null, file: string) => pathReader(pattern, [])(file)!
  it('belong to the scene and series that differ in nothing but band and date', () => {
    const [one, other, later] = ['B02_10m', 'B8A_20m']
      .map((band) => facts(null, `x/T32_20210614T101031_${band}.tif`))
      .concat(facts(null, 'x/T32_20210619T101031_B02_10m.tif')) as [
      ReturnType<typeof facts>,
      ReturnType<typeof facts>,
      ReturnType<typeof facts>,
    ]
    expect(one.single).toEqual(other.single)
    expect(one.single).toMatchObject({ series: 'x/T32', name: 'x/T32_20210614T101031' })
    expect(later.single.series).toBe(one.single.series)
    expect(later.single.scene).not.toBe(one.single.scene)
    // Of many bands the name is no band's.
    expect(one.several.series).toBe('x/T32_B02_10m')
  })

  it('take what a pattern says, and find the rest by themselves', () => {
    const { band, isBandGiven, time, single } = facts('^(?<series>\\w+)/', 'a/x_20210614_B3.tif')
    expect({ band, isBandGiven, time, series: single.series }).toEqual({
      band: 'B3',
      isBandGiven: false,
      time: Date.UTC(2021, 5, 14),
      series: 'a',
    })
    const other = facts('(?<date>\\d{7})_(?<band>[a-z]+)', 'a/x_2021165_nir.tif')
    expect(other).toMatchObject({
      band: 'nir',
      isBandGiven: true,
      time: Date.UTC(2021, 5, 14),
      single: { series: 'a/x' },
    })
    expect(pathReader('\\.tif$', [])('a.npy')).toBeNull()
    // Places count in the units of JavaScript's strings, also behind characters of two.
    const behind = facts('(?<date>x)?(?<band>B\\d+)', 'ä𝒳/y_B07_z.tif')
    expect(behind).toMatchObject({ band: 'B07', time: null, single: { name: 'ä𝒳/y_z' } })
  })

  it('are matched in time that grows with them, whatever the pattern', () => {
    const path = `${'a'.repeat(20_000)}!.tif`
    for (const pattern of ['^(a+)+$', '^(a|aa)+$', '(.*a){20}b', '^(?<series>(\\w+\\s?)*)$'])
      expect(pathReader(pattern, [])(path)).toBeNull()
    for (const [pattern, why] of [
      ['(?=a)', 'invalid or unsupported Perl syntax'],
      ['(a)\\1', 'invalid escape sequence'],
      ['(?<band>', 'missing closing'],
      ['(a{1000}){1000}', 'invalid repeat count'],
    ] as const)
      expect(() => pathReader(pattern, [])).toThrow(
        new RegExp(`is no regular expression: .*${why}.*without look-around and back-references`, 's'),
      )
  })
})
