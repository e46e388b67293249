/** Writes features as `.npy` or `.safetensors`, with the name of each row as JSON. */
import type { StoredArray } from '../checkpoint/arrays.ts'
import { writeSafetensors } from '../checkpoint/safetensors.ts'
import type { ImagePreparation } from '../config/preparation.ts'
import { SherdError } from '../errors.ts'
import { cannotWrite } from '../files/cannot-write.ts'
import { npyHeader } from '../files/npy.ts'
import { endingOf, writeWhole } from '../files/write-whole.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { ImageSource } from '../source/open.ts'
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

/** Rows of a folder's images, as a file has them. */
export interface RowFile {
  /** By name, each [rows, …]; a `.npy` holds one. */
  readonly arrays: ReadonlyMap<string, StoredArray>
  readonly source: ImageSource
  /** In the source, of each row. */
  readonly indices: ArrayLike<number>
  readonly skipped: readonly SkippedFile[]
  readonly model: ModelOrigin
  /** `format`, and what the arrays are, for the JSON file. */
  readonly about: { readonly format: string } & Readonly<Record<string, unknown>>
}

const numpyTypes = { float32: '<f4', int32: '<i4' } as const

/** Writes the arrays, labels behind them in a `.safetensors`, and a JSON file with name and class of each row. Throws `RUN`. */
export function writeRows(
  path: string,
  { arrays, source, indices, skipped, model, about: { format, ...more } }: RowFile,
): { files: string[] } {
  const labels = source.labels && Int32Array.from(indices, (index) => source.labels![index]!)
  const beside = namesBeside(path)
  try {
    if (featureFormat(path) === '.npy') {
      const [{ dtype, shape, data }] = [...arrays.values()] as [StoredArray]
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
      const header = npyHeader({ dtype: numpyTypes[dtype as keyof typeof numpyTypes], shape })
      writeWhole(path, Buffer.concat([header, bytes]))
    } else {
      const all = new Map(arrays)
      if (labels) all.set('labels', { dtype: 'int32', shape: [labels.length], data: labels })
      writeSafetensors(path, all, {
        ...{ model: model.path, step: String(model.step ?? ''), precision: model.precision },
      })
    }
    const names = {
      ...{ format, model, dir: source.dir, ...more },
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

/** Writes the features in float32, [count, width] or of patches [count, N, width]. Throws as `writeRows`. */
export function writeFeatures(
  path: string,
  { source, features, skipped }: FolderFeatures,
  { pooling, model, preparation }: FeatureFileOptions,
): { files: string[] } {
  const isOne = featureFormat(path) === '.npy'
  const { count, indices, of } = features
  const arrayOf = (name: FeatureName): StoredArray => {
    const { width, tokens, values } = valuesOf(features, name)
    const shape = name === 'patches' ? [count, tokens, width] : [count, width]
    return { dtype: 'float32', shape, data: values }
  }
  const names = isOne ? [pooling ?? onlyOf(of)] : [...of.keys()]
  const arrays = new Map(names.map((name) => [name, arrayOf(name)]))
  return writeRows(path, {
    ...{ arrays, source, indices, skipped, model },
    about: {
      format: 'sherd-features/1',
      pooling: isOne ? names[0] : names,
      ...(preparation && { preparation }),
    },
  })
}
