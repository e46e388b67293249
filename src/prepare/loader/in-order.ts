/** Every image of a source once, in order, as evaluation reads them. Files that cannot be decoded are left out. */

import { type Pixels, pickSamples } from '../pixels.ts'
import type { SkippedFile } from '../skipped.ts'
import { pixelsOf } from '../upload.ts'
import { type LoaderOptions, openLoader } from './loader.ts'

export type OrderedImages = Pixels & {
  /** The index in the source of each image. */
  readonly indices: Int32Array
}

/**
 * Batches of the centres of all images. The pixels of a batch are overwritten when the next one is asked for. Throws
 * `DATA_BROKEN` when more than `maxSkippedShare` of the files cannot be decoded. `from`: the batches behind the one
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
      const pixels = pixelsOf(fields)
      // A row whose index is not its position holds the substitute of a broken file, or belongs to the next epoch.
      const rows = [...indices.keys()].filter((row) => first + row < count && indices[row] === first + row)
      const isWhole = rows.length === batchSize
      const kept = isWhole ? pixels : pickSamples(pixels, rows)
      if (rows.length > 0) yield { ...kept, indices: Int32Array.from(rows, (row) => first + row) }
    }
  } finally {
    await loader.close()
  }
}
