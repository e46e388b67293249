import { SherdError } from '../errors.ts'
import type { ImageIndex } from './index-folder.ts'
import { neighbourhoodsOf } from './vectors/neighbourhoods.ts'
import { type Outlier, outlierDefaults, outliersOf } from './vectors/outliers.ts'

export interface NamedOutlier extends Outlier {
  readonly file: string
}

export interface OutlierOptions {
  /** k */
  readonly neighbours?: number
  readonly onProgress?: (done: number, of: number) => void
}

/** All images, farthest from their `neighbours` nearest first. Throws `VALUE` for an index of one image. */
export async function findOutliers(
  index: ImageIndex,
  { neighbours = outlierDefaults.neighbours, onProgress }: OutlierOptions = {},
): Promise<NamedOutlier[]> {
  const { vectors, candidates, images } = index
  if (vectors.count < 2)
    throw new SherdError('VALUE', `${index.dir} holds one image: it has no neighbours to be far from.`)
  const found = await neighbourhoodsOf(vectors, candidates, neighbours, (done) =>
    onProgress?.(done, vectors.count),
  )
  return outliersOf(found).map((outlier) => ({ ...outlier, file: images[outlier.row]!.file }))
}
