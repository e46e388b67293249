/** The table of raster formats by extension. */
import { extname } from 'node:path'
import { unusable } from '../../files/byte-file.ts'
import { openGeotiff } from '../tiff/geotiff.ts'
import { openNpyRaster, openNpzRaster } from './numpy-raster.ts'
import type { RasterAccess, RasterFile } from './raster-file.ts'

const formats: Readonly<Record<string, (access: RasterAccess) => Promise<RasterFile>>> = {
  '.tif': openGeotiff,
  '.tiff': openGeotiff,
  '.npy': openNpyRaster,
  '.npz': openNpzRaster,
}

export const rasterExtensions: readonly string[] = Object.keys(formats)

/** Throws plain errors or `SOURCE`, without the file's name. */
export async function openRasterFile(access: RasterAccess): Promise<RasterFile> {
  const format = formats[extname(access.path).toLowerCase()]
  if (!format) throw unusable(`its name ends in none of ${rasterExtensions.join(' ')}`)
  return format(access)
}
