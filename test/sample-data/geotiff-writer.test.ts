import { fromArrayBuffer } from 'geotiff'
import { describe, expect, it } from 'vitest'
import { encodeGeoTiff, type GeoTiff, type GeoTiffValues } from '../../src/sample-data/geotiff-writer.ts'

const open = async (image: GeoTiff) => {
  const file = encodeGeoTiff(image)
  const tiff = await fromArrayBuffer(Uint8Array.from(file).buffer)
  return { file, image: await tiff.getImage() }
}
const valuesOf = (kind: { from(values: number[]): GeoTiffValues }, length: number, lowest: number) =>
  kind.from(Array.from({ length }, (_, i) => lowest + ((i * 7) % 200)))

const kinds = [
  ['uint8', Uint8Array, 0, 1, 8],
  ['uint16', Uint16Array, 60_000, 1, 16],
  ['int16', Int16Array, -100, 2, 16],
  ['float32', Float32Array, -0.25, 3, 32],
] as const
const forms = (['band', 'pixel'] as const).flatMap((interleave) =>
  (['deflate', 'none'] as const).flatMap((compression) =>
    [undefined, 16, 64].map((tile) => ({ interleave, compression, ...(tile && { tile }) })),
  ),
)

describe('encodeGeoTiff', () => {
  it.each(kinds)('%s: holds the values in every form', async (_, kind, lowest, format, bits) => {
    const [width, height] = [37, 21] // no multiple of a tile
    const bands = [0, 3, 9].map((shift) => ({
      name: `b${shift}`,
      values: valuesOf(kind, width * height, lowest + shift),
    }))
    for (const form of forms) {
      const { image } = await open({ width, height, bands, ...form })
      const read = await image.readRasters()
      expect([read.width, read.height, image.getSamplesPerPixel()]).toEqual([width, height, 3])
      expect([image.getSampleFormat(2), image.getBitsPerSample(2)]).toEqual([format, bits])
      expect(image.planarConfiguration).toBe(form.interleave === 'pixel' ? 1 : 2)
      expect([image.isTiled, image.getTileWidth()]).toEqual(form.tile ? [true, form.tile] : [false, width])
      for (const [b, { values }] of bands.entries()) expect(read[b]).toEqual(values)
    }
  })

  it('parts what is large into strips of at most 64 KiB', async () => {
    const values = valuesOf(Float32Array, 300 * 200, 0)
    for (const interleave of ['band', 'pixel'] as const) {
      const bands = [values, values.map((v) => v + 0.5)].map((each) => ({ name: null, values: each }))
      const { image, file } = await open({ width: 300, height: 200, bands, interleave, compression: 'none' })
      // 65536 / (300 · 4) = 54 rows, or 27 of two bands.
      expect(image.getTileHeight()).toBe(interleave === 'band' ? 54 : 27)
      const read = await image.readRasters()
      expect([read[0], read[1]]).toEqual(bands.map((band) => band.values))
      expect(file.length).toBeLessThan(300 * 200 * 8 + 1000)
    }
  })

  it('says where it is, what stands for no data, and what the bands are called', async () => {
    const values = new Uint16Array(6)
    const bands = ['B2', null, 'a < b & "c"'].map((name) => ({ name, values }))
    const ground = { epsg: 32632, corner: [399_960, 5_300_040] as const, pixel: 20 }
    const { image, file } = await open({ width: 3, height: 2, bands, ground, nodata: 0 })
    expect(image.getGeoKeys()).toMatchObject({
      GTModelTypeGeoKey: 1,
      GTRasterTypeGeoKey: 1,
      ProjectedCSTypeGeoKey: 32632,
    })
    expect(image.getOrigin()).toEqual([399_960, 5_300_040, 0])
    expect(image.getResolution()).toEqual([20, -20, 0])
    expect(image.getGDALNoData()).toBe(0)
    const metadata = await Promise.all([0, 1].map((band) => image.getGDALMetadata(band)))
    expect(metadata.map((each) => each?.DESCRIPTION)).toEqual(['B2', undefined])
    // GDAL 3.6 takes escapes back twice; `gdalinfo` shows a < b & "c".
    expect(file.toString('latin1')).toContain(
      '<Item name="DESCRIPTION" sample="2" role="description">a &amp;lt; b &amp;amp; &amp;quot;c&amp;quot;</Item>',
    )
  })

  it('knows degrees from metres, and a value that is not a number', async () => {
    const image = { width: 1, height: 1, bands: [{ name: null, values: Float32Array.of(1) }] }
    const ground = { epsg: 4326, corner: [8, 48] as const, pixel: 0.001 }
    const { image: read } = await open({ ...image, ground, nodata: Number.NaN })
    expect(read.getGeoKeys()).toMatchObject({ GTModelTypeGeoKey: 2, GeographicTypeGeoKey: 4326 })
    expect(read.getGDALNoData()).toBeNaN()
    const { image: plain } = await open(image)
    expect([plain.getGeoKeys(), plain.getGDALNoData()]).toEqual([null, null])
  })

  it('refuses bands that do not fit, and tiles that TIFF does not allow', () => {
    const band = (values: GeoTiffValues) => ({ name: null, values })
    const size = { width: 2, height: 2 }
    expect(() => encodeGeoTiff({ ...size, bands: [] })).toThrow(/at least one band.* got none/)
    expect(() =>
      encodeGeoTiff({ ...size, bands: [band(new Uint8Array(4)), band(new Uint8Array(5))] }),
    ).toThrow(/2 × 2 values.* band 1 has 5 \(Uint8Array\)/)
    expect(() =>
      encodeGeoTiff({ ...size, bands: [band(new Uint8Array(4)), band(new Int16Array(4))] }),
    ).toThrow(/band 1 has 4 \(Int16Array\)/)
    for (const tile of [0, 8, 24, 16.5])
      expect(() => encodeGeoTiff({ ...size, bands: [band(new Uint8Array(4))], tile })).toThrow(
        /a multiple of 16/,
      )
  })
})
