/** An index of existing features, from `sherd embed` or another program. */
import { statSync } from 'node:fs'
import type { VectorFeature } from '../token/feature.ts'
import type { IndexFacts } from './index-folder.ts'
import { type StoreOptions, storeIndex } from './make-index.ts'
import { readFeatures } from './read-features.ts'
import { unitVectors } from './vectors/unit-vectors.ts'

/** Throws as `readFeatures`, `VALUE` for features that are zero or non-finite, `RUN`. */
export async function indexFeatures(
  path: string,
  { out, pooling, ...storing }: StoreOptions & { readonly out: string; readonly pooling?: VectorFeature },
): Promise<IndexFacts> {
  const { vectors, pooling: chosen, names } = readFeatures(path, pooling)
  const images =
    names?.images.map(({ file, label }) => ({ file, ...(label !== undefined && { label }) })) ??
    Array.from({ length: vectors.count }, (_, row) => ({ file: `row ${row}` }))
  const units = unitVectors(vectors, (row) => `${images[row]!.file} in ${path}`)
  const isThere = names && statSync(names.dir, { throwIfNoEntry: false })?.isDirectory()
  const facts = {
    ...{ count: vectors.count, width: vectors.width, pooling: chosen, classes: names?.classes ?? [] },
    preparation: names?.preparation ?? null,
    model: names && { ...names.model, sha256: null },
    source: isThere
      ? { dir: names.dir, rasters: null, size: [0, 0] as [number, number], maxPatches: null }
      : null,
  }
  return storeIndex(out, { facts, images, skipped: [], vectors: units }, storing)
}
