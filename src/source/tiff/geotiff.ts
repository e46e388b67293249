/**
 * GeoTIFF files, including Cloud-Optimized ones: header, and windows of bands with masks applied. Only the first image is read: overviews do
 * not state their resampling, and nearest neighbours would alias.
 */
import type { GeoTIFFImage } from 'geotiff'
import { messageOf, SherdError } from '../../errors.ts'
import { openBytes, unusable } from '../../files/byte-file.ts'
import { gridOf } from '../raster/georeference.ts'
import { noDataOf } from '../raster/no-data.ts'
import type { Layer, RasterAccess, RasterFile, RasterStorage, ReadOptions } from '../raster/raster-file.ts'
import { type NoData, typeName } from '../raster/sample-type.ts'
import { readHeader } from './tiff-header.ts'
import { type Layout, layoutOf, numbersOf } from './tiff-layout.ts'
import { alphaBand, openMask } from './tiff-mask.ts'
import { type BandMetadata, bandMetadata } from './tiff-metadata.ts'
import { isAbsent, readRegion } from './tiff-region.ts'

const RGB = 2

export async function openGeotiff({ path, blocks }: RasterAccess): Promise<RasterFile> {
  const file = await openBytes(path)
  try {
    const images = await readHeader(file)
    const { image } = images
    const layout = layoutOf(image)
    const own = { layout, file, blocks, name: path }
    const said = metadataOf(image)
    const mask = await openMask(own, images, { path, blocks })
    return {
      describe: async () => ({
        layers: layersOf(image, layout, said),
        ...{ items: null, timeOf: () => null },
        storage: storageOf(layout, { mask: mask?.what ?? null, overviews: images.overviews }),
        grid: gridOf(layout, {
          transformation: numbersOf(image, 'ModelTransformation'),
          scale: numbersOf(image, 'ModelPixelScale'),
          tiePoint: numbersOf(image, 'ModelTiepoint'),
          keys: image.getGeoKeys() ?? {},
        }),
      }),
      sizeOf: ({ band }) => {
        if (band >= layout.bands)
          throw unusable(`it has ${layout.bands} bands, and number ${band + 1} is wanted`)
        return { width: layout.width, height: layout.height }
      },
      isAbsent(places, region) {
        const bands = places.map(({ band }) => band)
        return isAbsent(layout, region, bands) && (mask?.isAbsent(bands, region) ?? true)
      },
      async read(places, region, { nodata, applyScale = false }) {
        const bands = places.map(({ band }) => band)
        const out = await readRegion(own, region, { bands, ...noDataIn(layout, nodata) })
        await mask?.apply(out, bands, region)
        if (applyScale) for (const [i, band] of bands.entries()) scaleBand(out[i]!, said, band)
        return out
      },
      close: async () => {
        await mask?.close()
        await file.close()
      },
    }
  } catch (error) {
    await file.close()
    throw error instanceof SherdError
      ? error
      : unusable(`its header is cut short or damaged (${messageOf(error)})`)
  }
}

const storageOf = (
  { block, nodata, isTiled, blockWidth, blockHeight }: Layout,
  more: Pick<RasterStorage, 'mask' | 'overviews'>,
): RasterStorage => ({
  ...{ type: block.bits === 1 ? 'bits' : typeName(block.type), nodata, isTiled },
  ...{ block: [blockWidth, blockHeight] as const, ...more },
})

/** A given number overrides the file's. As in GDAL, sparse blocks are no data if there is a no-data value, else 0. */
function noDataIn(
  { nodata, block }: Layout,
  given: ReadOptions['nodata'],
): { nodata: NoData | null; absent: number } {
  const number = given ?? nodata
  return {
    nodata: number === null ? null : noDataOf(number, block.type),
    absent: number === null ? 0 : Number.NaN,
  }
}

function scaleBand(values: Float32Array, { scales, offsets }: BandMetadata, band: number): void {
  const [scale, offset] = [scales.get(band) ?? 1, offsets.get(band) ?? 0]
  if (scale === 1 && offset === 0) return
  for (let i = 0; i < values.length; i++) values[i] = values[i]! * scale + offset
}

function metadataOf(image: GeoTIFFImage): BandMetadata {
  const xml: unknown = image.fileDirectory.getValue('GDAL_METADATA' as 'ImageWidth')
  return bandMetadata(typeof xml === 'string' ? xml : '')
}

/** Bands with their descriptions (as GDAL and rasterio write them), else with their colour interpretation. */
function layersOf(
  image: GeoTIFFImage,
  { width, height, bands }: Layout,
  { descriptions, colours, scales, offsets }: BandMetadata,
): Layer[] {
  const isRgb = numbersOf(image, 'PhotometricInterpretation')?.[0] === RGB
  const alpha = alphaBand(image, bands)
  return Array.from({ length: bands }, (_, band) => {
    const description = descriptions.get(band) ?? null
    const colour = colours.get(band) ?? (isRgb ? (['red', 'green', 'blue'][band] ?? null) : null)
    return {
      name: description ?? colour,
      isNamed: description !== null,
      ...{ band, width, height, frames: null, isAlpha: band === alpha },
      ...{ scale: scales.get(band) ?? 1, offset: offsets.get(band) ?? 0 },
    }
  })
}
