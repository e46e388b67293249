import { SherdError } from '../errors.ts'
import type { ImageFolder } from './image-folder.ts'
import type { ImageSource } from './open.ts'
import type { RasterFolder } from './raster/raster-folder.ts'

/** The images at `indices`, in this order; classes keep their indices. Throws `SOURCE` for packed images. */
export function subsetOf(source: ImageSource, indices: readonly number[]): ImageFolder | RasterFolder {
  if (source.kind === 'packed')
    throw new SherdError(
      'SOURCE',
      `${source.dir} is packed and cannot be split. Pack training and test images separately, and give both with --train and --test.`,
    )
  const { dir, classes, files, labels } = source
  const part = {
    ...{ dir, classes },
    files: indices.map((index) => files[index]!),
    labels: labels && Int32Array.from(indices, (index) => labels[index]!),
  }
  if (source.kind === 'images') return { kind: 'images', ...part }
  const { rasters } = source
  const places = indices.map((index) => source.places[index]!)
  return {
    kind: 'rasters',
    ...part,
    places,
    rasters: { ...rasters, samples: indices.map((index) => rasters.samples[index]!) },
  }
}
