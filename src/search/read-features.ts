/** Reads features from `.npy` or `.safetensors`, with the names that `sherd embed` writes beside them; those of other programs are named by row number. */
import { closeSync, existsSync, fstatSync, readSync } from 'node:fs'
import { z } from 'zod'
import { toFloat32 } from '../checkpoint/arrays.ts'
import { readArrays } from '../checkpoint/safetensors.ts'
import { messageOf, SherdError } from '../errors.ts'
import { featureFormat, namesBeside } from '../evaluate/feature-file.ts'
import { npyHead, npyHeadBytes } from '../files/npy.ts'
import { openGiven, readRegular } from '../files/regular-file.ts'
import { expectVector, type FeatureName, isFeature, type VectorFeature } from '../token/feature.ts'
import type { Vectors } from './vectors/unit-vectors.ts'

const feature = z.custom<FeatureName>((name) => typeof name === 'string' && isFeature(name), {
  error: 'expected the name of a feature',
})
const namesSchema = z.object({
  format: z.literal('sherd-features/1'),
  model: z.object({ path: z.string(), step: z.number().nullable(), precision: z.string().optional() }),
  pooling: z.union([feature, z.array(feature)]),
  dir: z.string(),
  /** How images were prepared; null in files of earlier versions. */
  preparation: z.record(z.string(), z.unknown()).nullable().default(null),
  classes: z.array(z.string()),
  images: z.array(z.object({ file: z.string(), label: z.number().int().min(0).optional() })),
})

export interface ReadFeatures {
  readonly vectors: Vectors
  readonly pooling: VectorFeature
  /** The contents of the file of names; null if there is none. */
  readonly names: z.infer<typeof namesSchema> | null
}

const broken = (path: string, why: string, cause?: unknown) =>
  new SherdError('SOURCE', `${path} cannot be used as features: ${why}.`, { cause })

/** Throws `SOURCE` or `CHECKPOINT` if a file cannot be read or the numbers of names and vectors differ, `USAGE` if the requested pooling is missing. */
export function readFeatures(path: string, pooling?: VectorFeature): ReadFeatures {
  const format = featureFormat(path)
  if (!existsSync(path)) throw broken(path, 'there is no such file')
  const names = readNames(namesBeside(path))
  const chosen = chosenOf(path, names && [names.pooling].flat(), pooling)
  const vectors = format === '.npy' ? readMatrix(path) : readArray(path, chosen)
  if (names && names.images.length !== vectors.count)
    throw broken(path, `it has ${vectors.count} rows, and ${names.images.length} names are beside it`)
  return { vectors, pooling: chosen, names }
}

/** What is asked for, else the mean of the patches where the file holds it, else what it holds. */
function chosenOf(path: string, held: readonly FeatureName[] | null, asked?: VectorFeature): VectorFeature {
  if (held === null) return asked ?? 'mean'
  if (asked && !held.includes(asked))
    throw new SherdError(
      'USAGE',
      `${path} holds ${held.join(', ')}, not ${asked}: ${held.length === 1 ? 'leave --pool out' : 'take one of these'}.`,
    )
  return asked ?? (held.includes('mean') ? 'mean' : expectVector(held[0] ?? 'mean', 'An index'))
}

function readNames(path: string): ReadFeatures['names'] {
  if (!existsSync(path)) return null
  try {
    return namesSchema.parse(JSON.parse(readRegular(path)))
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)
    throw broken(path, `it is not what "sherd embed" writes beside features: ${why}`, error)
  }
}

const items = { '<f4': Float32Array, '<f8': Float64Array } as const

function readMatrix(path: string): Vectors {
  let fd: number
  try {
    fd = openGiven(path)
  } catch (error) {
    throw broken(path, messageOf(error), error)
  }
  try {
    const { size } = fstatSync(fd)
    const head = Buffer.alloc(Math.min(size, npyHeadBytes))
    readSync(fd, head, 0, head.length, 0)
    const { dtype, shape, isFortran, start } = npyHead(head)
    const of = items[dtype as keyof typeof items]
    const [count = 0, width = 0] = shape
    if (!of || shape.length !== 2 || isFortran)
      throw new Error(
        `expected a matrix [images, width] of float32 in C order, got ${dtype} of shape (${shape})${isFortran ? ' in Fortran order' : ''}`,
      )
    if (start + count * width * of.BYTES_PER_ELEMENT !== size || count * width === 0)
      throw new Error(`${dtype} of shape (${shape}) do not make its ${size} bytes`)
    const values = new of(count * width)
    const bytes = new Uint8Array(values.buffer)
    for (let done = 0; done < bytes.length; ) {
      const got = readSync(fd, bytes, done, Math.min(bytes.length - done, 1 << 30), start + done)
      if (got === 0) throw new Error('it became shorter while it was read')
      done += got
    }
    return { count, width, values: values instanceof Float32Array ? values : Float32Array.from(values) }
  } catch (error) {
    throw broken(path, messageOf(error), error)
  } finally {
    closeSync(fd)
  }
}

function readArray(path: string, pooling: VectorFeature): Vectors {
  const { tensors } = readArrays(path)
  const found = tensors.get(pooling)
  if (found?.shape.length !== 2)
    throw broken(path, `expected a matrix "${pooling}", it has ${[...tensors.keys()].join(', ')}`)
  const [count = 0, width = 0] = found.shape
  if (count * width === 0) throw broken(path, `"${pooling}" is empty`)
  return { count, width, values: toFloat32(found.data, found.dtype) }
}
