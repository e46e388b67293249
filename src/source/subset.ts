/** Some images of a source, as a source. */
import { SherdError } from '../errors.ts'
import type { ImageFolder } from './image-folder.ts'
import type { ImageSource } from './open.ts'
import type { RasterFolder } from './raster/raster-folder.ts'

/** The images at `indices`, in this order; classes keep their numbers. Throws `SOURCE` for packed images. */
export function subsetOf(source: ImageSource, indices: readonly number[]): ImageFolder | RasterFolder {
  if ('pack' in source)
    throw new SherdError(
      'SOURCE',
      `${source.dir} is packed and cannot be parted. Pack training and test images apart, and give both with --train and --test.`,
    )
  const { dir, classes, files, labels } = source
  const part = {
    ...{ dir, classes },
    files: indices.map((index) => files[index]!),
    labels: labels && Int32Array.from(indices, (index) => labels[index]!),
  }
  if (!('rasters' in source)) return part
  const { rasters } = source
  const places = indices.map((index) => source.places[index]!)
  return {
    ...part,
    places,
    rasters: { ...rasters, samples: indices.map((index) => rasters.samples[index]!) },
  }
}
