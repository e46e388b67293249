/** Reference files of operators: cases by name, each with its options, its input and what comes out. */
import { z } from 'zod'
import type { StoredArray } from '../checkpoint/arrays.ts'
import { readArrays } from '../checkpoint/safetensors.ts'
import { SherdError } from '../errors.ts'
import type { DType } from '../tensor/dtype.ts'
import type { Check } from './check.ts'
import { parseMetadata } from './metadata.ts'

const casesSchema = z.object({ cases: z.record(z.string(), z.record(z.string(), z.unknown())) })

export interface OperatorFile {
  readonly cases: readonly (readonly [name: string, options: Readonly<Record<string, unknown>>])[]
  readonly tensors: ReadonlyMap<string, StoredArray>
}

/** What was compared, and what of the file this version cannot compute yet. */
export interface Checked {
  readonly checks: readonly Check[]
  readonly notSupported: readonly string[]
}

export function casesOf(metadata: Readonly<Record<string, string>>): OperatorFile['cases'] {
  const { cases } = parseMetadata(metadata.config, 'config', casesSchema)
  if (Object.keys(cases).length === 0) throw new SherdError('VALUE', 'it has no cases')
  return Object.entries(cases)
}

export function readOperatorFile(path: string): OperatorFile {
  const { metadata, tensors } = readArrays(path)
  return { cases: casesOf(metadata), tensors }
}

/** Throws `VALUE` where a tensor is missing or is of another type. */
export function arrayOf(
  tensors: OperatorFile['tensors'],
  name: string,
  dtype: DType,
): { readonly data: ArrayLike<number>; readonly shape: readonly number[] } {
  const found = tensors.get(name)
  if (!found) throw new SherdError('VALUE', `it has no tensor "${name}"`)
  if (found.dtype !== dtype)
    throw new SherdError('VALUE', `${name}: expected ${dtype}, got ${found.dtype}[${found.shape.join(', ')}]`)
  return { data: found.data as ArrayLike<number>, shape: found.shape }
}

/** Parses a case's options; the error names it. */
export function readCase<S extends z.ZodType>(name: string, options: unknown, schema: S): z.infer<S> {
  const parsed = schema.safeParse(options)
  if (!parsed.success)
    throw new SherdError('VALUE', `its case "${name}" does not fit: ${z.prettifyError(parsed.error)}`)
  return parsed.data
}
