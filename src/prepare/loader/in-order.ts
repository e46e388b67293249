/** Every image of a source once, in order, as evaluation reads them. Files that cannot be decoded are left out. */

import { partsOf, type SizedPart } from '../sized-parts.ts'
import type { SkippedFile } from '../skipped.ts'
import { type LoaderOptions, openLoader } from './loader.ts'

/** Images in the order of the source, apart by their size: one part where all have that of the model. */
export interface OrderedImages {
  /** The index in the source of each image. */
  readonly indices: Int32Array
  readonly parts: readonly SizedPart[]
}

/**
 * Batches of the centres of all images, or of whole images of their own sizes. The pixels of a batch are overwritten when the next one is
 * asked for. Throws `DATA_BROKEN` when more than `maxSkippedShare` of the files cannot be decoded. `from`: the batches behind the one
 * that ends there, cut as in a whole reading.
 */
export async function* imagesInOrder(
  options: Omit<
    LoaderOptions,
    'views' | 'photometric' | 'crop' | 'flip' | 'shuffle' | 'firstPosition' | 'onSkip'
  >,
  onSkip?: (skipped: SkippedFile) => void,
  from = 0,
): AsyncGenerator<OrderedImages> {
  const count = options.source.files.length
  const batchSize = Math.min(options.batchSize, count)
  const start = Math.ceil(from / batchSize) * batchSize
  if (start >= count) return
  const loader = openLoader({
    ...{ ...options, batchSize, crop: 'center', flip: false, shuffle: false, firstPosition: start },
    ...(onSkip ? { onSkip } : {}),
  })
  try {
    for (let first = start; first < count; first += batchSize) {
      const { indices, fields } = await loader.next()
      // A row whose index is not its position holds the substitute of a broken file, or belongs to the next epoch.
      const rows = [...indices.keys()].filter((row) => first + row < count && indices[row] === first + row)
      if (rows.length === 0) continue
      yield { parts: partsOf(fields, rows), indices: Int32Array.from(rows, (row) => first + row) }
    }
  } finally {
    await loader.close()
  }
}
