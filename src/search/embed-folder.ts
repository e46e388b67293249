/** The features of a folder's images as a file; continued after an interruption, to the same bytes. */
import { SherdError } from '../errors.ts'
import { featureFormat, namesBeside, writeFeatures } from '../evaluate/feature-file.ts'
import { claimed } from '../files/claim.ts'
import { availableBytes } from '../machine/memory.ts'
import type { FeatureSpec } from '../model/features.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { FeatureName } from '../token/feature.ts'
import type { Progress } from '../weights/folder-features.ts'
import { openFor } from '../weights/open-encoder.ts'
import { madeOfImages, withJournal } from './claimed-rows.ts'
import type { Embedder } from './embedder.ts'

export interface EmbedOptions {
  /** A `.npy` or `.safetensors`. */
  readonly out: string
  /** Of a `.npy` one, by default the model's own; of a `.safetensors` any number, by default those that compete in evaluations. */
  readonly features?: readonly FeatureName[] | undefined
  readonly overwrite?: boolean | undefined
  /** What else says which model it is, such as the preset of a random one. */
  readonly options?: Readonly<Record<string, unknown>>
  readonly onProgress?: Progress
  readonly signal?: AbortSignal
}

export interface Embedded {
  readonly images: number
  /** Of the first feature. */
  readonly width: number
  readonly features: readonly FeatureSpec[]
  readonly skipped: readonly SkippedFile[]
}

const MOST_BYTES = 2 ** 31 - 1 // one write of the system
const COPIES = 3 // batches, their rows behind one another, and the file

/** Throws `USAGE` for more numbers than memory has room for: those of all patches are many. */
function expectRoom(specs: readonly FeatureSpec[], images: number): void {
  if (specs.every(({ tokens }) => tokens === 1)) return
  const numbers = specs.reduce((sum, { width, tokens }) => sum + width * tokens, 0)
  const [bytes, most] = [4 * numbers * images, Math.min(MOST_BYTES, availableBytes() / COPIES)]
  if (bytes <= most) return
  const gigabytes = (value: number) => (value / 2 ** 30).toFixed(1)
  throw new SherdError(
    'USAGE',
    `The patches of ${images} images are ${numbers} numbers each, ${gigabytes(bytes)} GiB, and there is room for ${gigabytes(most)}: embed at most ${Math.floor(most / (4 * numbers))} images at once.`,
  )
}

/** Throws as `claim` and `featuresOfSource`. */
export async function embedFolder(
  dir: string,
  embedder: Embedder,
  { out, features: given, overwrite, options = {}, onProgress, signal }: EmbedOptions,
): Promise<{ readonly result: Embedded; readonly wasThere: boolean; readonly files: readonly string[] }> {
  const format = featureFormat(out)
  const files = [out, namesBeside(out)]
  const source = await openFor(embedder, dir)
  const isOne = format === '.npy'
  if (isOne && given && given.length > 1)
    throw new SherdError(
      'USAGE',
      `A .npy holds one feature, and ${given.join(', ')} were asked for: write a .safetensors, or one of them.`,
    )
  const names = given ?? (isOne ? [embedder.feature] : embedder.competing)
  const specs = names.map((name) => embedder.featureOf(name))
  expectRoom(specs, source.files.length)
  // Without --pool a .safetensors is what it was before there was one.
  const pooling = isOne ? specs[0]!.name : given && specs.map(({ name }) => name)
  const asked = { ...options, format, pooling }
  const made = madeOfImages('embed', embedder, source, asked)
  const request = { out, also: [namesBeside(out)], kind: 'file', made, overwrite, continues: true } as const
  const done = await claimed<Embedded>(request, async (draft) => {
    const found = await withJournal(draft, (journal) =>
      embedder.features(source, { features: names, journal, signal, onProgress }),
    )
    const { count, of } = found.features
    if (count === 0) throw new SherdError('DATA_BROKEN', `No image of ${dir} could be read.`)
    writeFeatures(draft.fileFor(), found, { model: embedder.origin, preparation: embedder.preparation })
    const features = [...of].map(([name, { width, tokens }]) => ({ name, width, tokens }))
    return { images: count, width: features[0]!.width, features, skipped: found.skipped }
  })
  return { ...done, files }
}
