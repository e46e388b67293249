/** Writes features as `.npy` or `.safetensors`, with the name of each row as JSON. */
import type { StoredArray } from '../checkpoint/arrays.ts'
import { writeSafetensors } from '../checkpoint/safetensors.ts'
import { cannotWrite } from '../files/cannot-write.ts'
import { npyHeader } from '../files/npy.ts'
import { endingOf, writeWhole } from '../files/write-whole.ts'
import { type Pooling, poolings } from '../token/pool.ts'
import type { FolderFeatures } from '../weights/folder-features.ts'
import type { ModelOrigin } from '../weights/open-encoder.ts'

const formats = ['.npy', '.safetensors'] as const
export type FeatureFormat = (typeof formats)[number]

/** Throws `USAGE` for other endings. */
export const featureFormat = (path: string): FeatureFormat => endingOf(path, formats)

/** The JSON file that names the rows. */
export const namesBeside = (path: string): string => `${path.slice(0, -featureFormat(path).length)}.json`

export interface FeatureFileOptions {
  /** Of a `.npy`; `.safetensors` holds both. */
  readonly pooling: Pooling
  readonly model: ModelOrigin
}

/** Writes the features [count, width] in float32, and a JSON file with name and class of each row. Throws `RUN`. */
export function writeFeatures(
  path: string,
  { source, features, skipped }: FolderFeatures,
  { pooling, model }: FeatureFileOptions,
): { files: string[] } {
  const format = featureFormat(path)
  const { count, width, indices, vectors } = features
  const labels = source.labels && Int32Array.from(indices, (index) => source.labels![index]!)
  const beside = namesBeside(path)
  try {
    if (format === '.npy') {
      const values = vectors[pooling]
      const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength)
      writeWhole(path, Buffer.concat([npyHeader({ dtype: '<f4', shape: [count, width] }), bytes]))
    } else {
      const vectorsOf = (pooling: Pooling): StoredArray => ({
        ...{ dtype: 'float32', shape: [count, width], data: vectors[pooling] },
      })
      const arrays = new Map<string, StoredArray>(poolings.map((each) => [each, vectorsOf(each)]))
      if (labels) arrays.set('labels', { dtype: 'int32', shape: [count], data: labels })
      writeSafetensors(path, arrays, {
        ...{ model: model.path, step: String(model.step ?? ''), precision: model.precision },
      })
    }
    const names = {
      format: 'sherd-features/1',
      model,
      pooling: format === '.npy' ? pooling : [...poolings],
      dir: source.dir,
      classes: source.classes,
      images: Array.from(indices, (index, row) => ({
        file: source.files[index]!,
        ...(labels ? { label: labels[row]! } : {}),
      })),
      skipped,
    }
    writeWhole(beside, `${JSON.stringify(names)}\n`)
  } catch (error) {
    throw cannotWrite(path, error)
  }
  return { files: [path, beside] }
}
