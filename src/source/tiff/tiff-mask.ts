/**
 * Masks of a TIFF file, in GDAL's order of precedence: a mask file (`a.tif.msk`), a mask image in the file, or, without a no-data value,
 * an alpha band. 0 is no data.
 */
import { basename } from 'node:path'
import type { GeoTIFFImage } from 'geotiff'
import { messageOf } from '../../errors.ts'
import { openBytes, unusable } from '../../files/byte-file.ts'
import type { Box } from '../box.ts'
import type { BlockCache } from '../raster/block-cache.ts'
import type { Values } from '../raster/sample-type.ts'
import { readHeader } from './tiff-header.ts'
import { type Layout, layoutOf, numbersOf } from './tiff-layout.ts'
import { isAbsent, readRegion, type TiffBlocks } from './tiff-region.ts'

export interface TiffMask {
  /** For descriptions. */
  readonly what: string
  /** Writes NaN into masked pixels of `out`, regions of these bands. */
  apply(out: readonly Float32Array[], bands: readonly number[], region: Box): Promise<void>
  /** Whether the whole region is masked by sparse blocks. */
  isAbsent(bands: readonly number[], region: Box): boolean
  close(): Promise<void>
}

/** TIFF's ExtraSamples for associated and unassociated alpha. */
const ALPHA = [1, 2]

/** The index of the alpha band, or null. */
export function alphaBand(image: GeoTIFFImage, bands: number): number | null {
  const extra = numbersOf(image, 'ExtraSamples') ?? []
  const found = extra.findLastIndex((kind) => ALPHA.includes(kind))
  return found < 0 || extra.length >= bands ? null : bands - extra.length + found
}

/** `which`: the mask's band for each band; a mask of one band applies to all. */
const maskBy = (
  what: string,
  mask: TiffBlocks,
  which: (band: number) => number,
  close: TiffMask['close'] = async () => {},
): TiffMask => ({
  what,
  close,
  isAbsent: (bands, region) => isAbsent(mask.layout, region, bands.map(which)),
  async apply(out, bands, region) {
    const wanted = bands.map(which)
    const distinct = [...new Set(wanted)]
    const masks = await readRegion(mask, region, { bands: distinct, nodata: null, absent: 0 })
    for (const [i, values] of out.entries()) {
      const valid = masks[distinct.indexOf(wanted[i]!)]!
      for (let at = 0; at < values.length; at++) if (valid[at] === 0) values[at] = Number.NaN
    }
  },
})

function maskLayout(image: GeoTIFFImage, { width, height, bands }: Layout): Layout {
  const layout = layoutOf(image)
  if (layout.width !== width || layout.height !== height)
    throw unusable(`it is ${layout.width} x ${layout.height} pixels, and the image ${width} x ${height}`)
  if (layout.bands !== 1 && layout.bands !== bands)
    throw unusable(`it has ${layout.bands} bands, and the image ${bands}`)
  return layout
}

const whichOf =
  ({ bands }: Layout) =>
  (band: number): number =>
    bands === 1 ? 0 : band

export async function openMask(
  own: TiffBlocks,
  { image, mask }: { image: GeoTIFFImage; mask: GeoTIFFImage | null },
  { path, blocks }: { path: string; blocks: BlockCache<Values | null> },
): Promise<TiffMask | null> {
  const beside = await openBeside(`${path}.msk`, own.layout, blocks)
  if (beside) return beside
  if (mask) {
    try {
      const layout = maskLayout(mask, own.layout)
      return maskBy('a mask image', { ...own, layout, name: `${own.name}\nmask` }, whichOf(layout))
    } catch (error) {
      throw unusable(`its mask of where it has data cannot be read: ${messageOf(error)}`)
    }
  }
  const alpha = own.layout.nodata === null ? alphaBand(image, own.layout.bands) : null
  return alpha === null ? null : maskBy('an alpha band', own, () => alpha)
}

async function openBeside(
  path: string,
  image: Layout,
  blocks: BlockCache<Values | null>,
): Promise<TiffMask | null> {
  const file = await openBytes(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw unusable(`its mask ${basename(path)} cannot be read: ${messageOf(error)}`)
  })
  if (!file) return null
  try {
    const layout = maskLayout((await readHeader(file)).image, image)
    return maskBy('a mask file (.msk)', { layout, file, blocks, name: path }, whichOf(layout), file.close)
  } catch (error) {
    await file.close()
    throw unusable(`its mask ${basename(path)} cannot be read: ${messageOf(error)}`)
  }
}
