/** Writes files of weights atomically, after checking early that the path can be written. */
import { renameSync, rmSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { SherdError } from '../errors.ts'
import { cannotWrite } from '../files/cannot-write.ts'
import { flush } from '../files/durable.ts'
import { expectWritable } from '../files/write-whole.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { StoredArray } from './arrays.ts'
import { writeSafetensors } from './safetensors.ts'

/** Checks that the file can be written and returns its path. `option`: named in errors. Throws `USAGE` for another extension, `RUN`. */
export function openWeightsFile(given: string, option = '--save'): string {
  const path = resolve(given)
  if (!path.endsWith('.safetensors'))
    throw new SherdError('USAGE', `${option}: expected a name that ends in .safetensors, got ${given}`)
  expectWritable(path)
  return path
}

/** Throws `RUN`. */
export function writeWeights(
  path: string,
  tensors: ReadonlyMap<string, Tensor | StoredArray>,
  metadata: Readonly<Record<string, string>>,
): void {
  const draft = `${path}.writing`
  try {
    writeSafetensors(draft, tensors, { ...metadata, format: 'pt' })
    renameSync(draft, path)
    flush(dirname(path))
  } catch (error) {
    rmSync(draft, { force: true })
    throw cannotWrite(path, error)
  }
}
