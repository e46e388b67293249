/** Writes features as `.npy` or `.safetensors`, with the name of each row as JSON. */
import type { StoredArray } from '../checkpoint/arrays.ts'
import { writeSafetensors } from '../checkpoint/safetensors.ts'
import type { ImagePreparation } from '../config/preparation.ts'
import { SherdError } from '../errors.ts'
import { cannotWrite } from '../files/cannot-write.ts'
import { npyHeader } from '../files/npy.ts'
import { endingOf, writeWhole } from '../files/write-whole.ts'
import type { FeatureName } from '../token/feature.ts'
import type { FolderFeatures } from '../weights/folder-features.ts'
import { type FeatureMap, valuesOf } from '../weights/frozen-encoder.ts'
import type { ModelOrigin } from '../weights/open-encoder.ts'

const formats = ['.npy', '.safetensors'] as const
export type FeatureFormat = (typeof formats)[number]

/** Throws `USAGE` for other endings. */
export const featureFormat = (path: string): FeatureFormat => endingOf(path, formats)

/** The JSON file that names the rows. */
export const namesBeside = (path: string): string => `${path.slice(0, -featureFormat(path).length)}.json`

export interface FeatureFileOptions {
  /** Of a `.npy`, where several were computed; a `.safetensors` holds all. */
  readonly pooling?: FeatureName | undefined
  readonly model: ModelOrigin
  /** How the images were prepared. */
  readonly preparation?: ImagePreparation
}

function onlyOf(of: FeatureMap): FeatureName {
  const [name, ...others] = of.keys()
  if (name !== undefined && others.length === 0) return name
  throw new SherdError('VALUE', `A .npy holds one feature: say which of ${[...of.keys()].join(', ')}`)
}

/** Writes the features in float32, [count, width] or of patches [count, N, width], and a JSON file with name and class of each row. Throws `RUN`. */
export function writeFeatures(
  path: string,
  { source, features, skipped }: FolderFeatures,
  { pooling, model, preparation }: FeatureFileOptions,
): { files: string[] } {
  const format = featureFormat(path)
  const { count, indices, of } = features
  const arrayOf = (name: FeatureName): StoredArray => {
    const { width, tokens, values } = valuesOf(features, name)
    const shape = name === 'patches' ? [count, tokens, width] : [count, width]
    return { dtype: 'float32', shape, data: values }
  }
  const names = format === '.npy' ? [pooling ?? onlyOf(of)] : [...of.keys()]
  const labels = source.labels && Int32Array.from(indices, (index) => source.labels![index]!)
  const beside = namesBeside(path)
  try {
    if (format === '.npy') {
      const { shape, data } = arrayOf(names[0]!)
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
      writeWhole(path, Buffer.concat([npyHeader({ dtype: '<f4', shape }), bytes]))
    } else {
      const arrays = new Map<string, StoredArray>(names.map((name) => [name, arrayOf(name)]))
      if (labels) arrays.set('labels', { dtype: 'int32', shape: [count], data: labels })
      writeSafetensors(path, arrays, {
        ...{ model: model.path, step: String(model.step ?? ''), precision: model.precision },
      })
    }
    const about = {
      format: 'sherd-features/1',
      model,
      pooling: format === '.npy' ? names[0] : names,
      dir: source.dir,
      ...(preparation && { preparation }),
      classes: source.classes,
      images: Array.from(indices, (index, row) => ({
        file: source.files[index]!,
        ...(labels ? { label: labels[row]! } : {}),
      })),
      skipped,
    }
    writeWhole(beside, `${JSON.stringify(about)}\n`)
  } catch (error) {
    throw cannotWrite(path, error)
  }
  return { files: [path, beside] }
}
