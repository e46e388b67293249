/** An image or a raster. A TIFF file may be both: what training makes of it is decided by the configuration, so both are said. */
import { extname } from 'node:path'
import { rasterExtensions } from '../source/raster/raster-formats.ts'
import { describeImage } from './image.ts'
import type { Description, InspectOptions } from './inspected.ts'
import { describeRaster } from './raster.ts'

export type Picture = Description & { readonly what: 'image' | 'raster' }

interface RasterTraits {
  readonly crs?: string | null
  readonly corners?: unknown
  readonly nodata?: unknown
  readonly mask?: string | null
  readonly bands?: readonly { readonly name: string | null }[]
}

const COLOURS = ['red', 'green', 'blue']

/** Whether a TIFF says what only rasters say: a place, missing data, names of bands. */
function isOfBands({ corners, nodata, mask, bands = [] }: RasterTraits): boolean {
  const isNamed = bands.some(({ name }) => name !== null && !COLOURS.includes(name))
  return (
    (corners ?? null) !== null ||
    (nodata ?? null) !== null ||
    (mask != null && mask !== 'an alpha band') ||
    isNamed
  )
}

export async function describePicture(path: string, options: InspectOptions): Promise<Picture> {
  const ending = extname(path).toLowerCase()
  if (!rasterExtensions.includes(ending)) return { what: 'image', ...(await describeImage(path, options)) }
  if (ending.startsWith('.np')) return { what: 'raster', ...(await describeRaster(path)) }
  const [image, raster] = [await describeImage(path, options), await describeRaster(path)]
  const isRaster = raster.reason === null && (image.reason !== null || isOfBands(raster.facts))
  const asImage = image.reason === null ? 'read, too, without data.bands' : `left out: ${image.reason}`
  if (isRaster)
    return {
      ...{ what: 'raster', ...raster, title: 'TIFF raster' },
      rows: [...raster.rows, ['as image', asImage]],
      facts: { ...raster.facts, asImage: { ...image.facts, reason: image.reason } },
    }
  const bands = raster.rows.find(([label]) => label === 'bands')?.[1]
  return {
    ...{ what: 'image', ...image },
    rows: [...image.rows, ['as raster', bands ?? `left out: ${raster.reason}`]],
    facts: { ...image.facts, asRaster: { ...raster.facts, reason: raster.reason } },
  }
}
