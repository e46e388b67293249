/** The features of a folder's images as a file; continued after an interruption, to the same bytes. */
import { SherdError } from '../errors.ts'
import { featureFormat, namesBeside, writeFeatures } from '../evaluate/feature-file.ts'
import { claimed } from '../files/claim.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { Pooling } from '../token/pool.ts'
import type { Progress } from '../weights/folder-features.ts'
import { openFor } from '../weights/open-encoder.ts'
import { madeOfImages, withJournal } from './claimed-rows.ts'
import type { Embedder } from './embedder.ts'

export interface EmbedOptions {
  /** A `.npy` or `.safetensors`. */
  readonly out: string
  /** Of a `.npy`. */
  readonly pooling: Pooling
  readonly overwrite?: boolean | undefined
  /** What else says which model it is, such as the preset of a random one. */
  readonly options?: Readonly<Record<string, unknown>>
  readonly onProgress?: Progress
  readonly signal?: AbortSignal
}

export interface Embedded {
  readonly images: number
  readonly width: number
  readonly skipped: readonly SkippedFile[]
}

/** Throws as `claim` and `featuresOfSource`. */
export async function embedFolder(
  dir: string,
  embedder: Embedder,
  { out, pooling, overwrite, options = {}, onProgress, signal }: EmbedOptions,
): Promise<{ readonly result: Embedded; readonly wasThere: boolean; readonly files: readonly string[] }> {
  const format = featureFormat(out)
  const files = [out, namesBeside(out)]
  const source = await openFor(embedder, dir)
  const asked = { ...options, format, pooling: format === '.npy' ? pooling : undefined }
  const made = madeOfImages('embed', embedder, source, asked)
  const request = { out, also: [namesBeside(out)], kind: 'file', made, overwrite, continues: true } as const
  const done = await claimed<Embedded>(request, async (draft) => {
    const found = await withJournal(draft, (journal) =>
      embedder.features(source, { journal, signal, onProgress }),
    )
    const { count, width } = found.features
    if (count === 0) throw new SherdError('DATA_BROKEN', `No image of ${dir} could be read.`)
    writeFeatures(draft.fileFor(), found, { pooling, model: embedder.origin })
    return { images: count, width, skipped: found.skipped }
  })
  return { ...done, files }
}
