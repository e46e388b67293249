import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { isRasterFolder, rasterKeys, surveyRasters } from '../../src/plan/raster-survey.ts'
import { writeSatelliteData } from '../../src/sample-data/satellite/write-places.ts'
import { sampleFolder, workFolder } from '../run/tiny.ts'

const sentinel = ['B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B11', 'B12']

describe('rasters', () => {
  let dir: string
  beforeAll(async () => {
    dir = join(await workFolder(), 'places')
    await writeSatelliteData({ dir, count: 8, dates: 1, size: 16, layout: 'stack', masks: false, seed: 0 })
  })
  it('are distinguished from pictures', async () => {
    expect(await isRasterFolder(dir)).toBe(true)
    expect(await isRasterFolder(await sampleFolder(10))).toBe(false)
  })
  it('have bands, dates, and metres a pixel', async () => {
    const survey = await surveyRasters(dir)
    expect(survey).toMatchObject({
      files: 8,
      bands: sentinel,
      areBandsNamed: true,
      metresPerPixel: 10,
      broken: [],
    })
    expect(survey.dates.count).toBeGreaterThan(0)
    expect(survey.shortSide.median).toBe(16)
  })
  it('are read by keys that name the bands where the presets have others, and windows of large scenes', async () => {
    const survey = await surveyRasters(dir)
    const usual = { usual: sentinel, imageSize: 96 }
    expect(rasterKeys(survey, usual)).toEqual([])
    const large = { ...survey.shortSide, median: 192 }
    expect(rasterKeys({ ...survey, shortSide: large }, usual)).toEqual(['data.window=96'])
    expect(rasterKeys({ ...survey, bands: ['B2', 'B3'] }, usual)).toEqual([
      'data.bands=["B2","B3"]',
      'model.groups=null',
    ])
    expect(rasterKeys({ ...survey, bands: ['band1', 'band2'], areBandsNamed: false }, usual)).toEqual([
      'data.bands=["band1","band2"]',
      'model.groups=null',
      'data.bandNames=["band1","band2"]',
    ])
  })
})
