/**
 * Published encoders: a folder as a library has saved it, beside `expected.safetensors` with what the library computes from it. Every tensor
 * of the file is compared; one that nothing here computes is listed.
 */
import { dirname } from 'node:path'
import { z } from 'zod'
import { readSafetensors } from '../checkpoint/safetensors.ts'
import { SherdError } from '../errors.ts'
import type { PrecisionName } from '../machine/plan.ts'
import { noGrad } from '../tensor/context.ts'
import { type Kernels, kernelsChosen, withKernels } from '../tensor/fused.ts'
import { toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, type Tensor, toFloats } from '../tensor/tensor.ts'
import { openEncoder } from '../weights/open-encoder.ts'
import { type Bound, type Check, compare } from './check.ts'
import type { LayoutOutputs } from './layout-given.ts'
import { outputsOfImages } from './layout-outputs.ts'
import { outputsOfPicture } from './layout-picture.ts'
import { outputsOfPretraining } from './layout-pretraining.ts'
import type { Checked } from './operator-file.ts'

export const layoutFormat = 'sherd-layout/1'

const headingSchema = z.object({
  class: z.string(),
  library: z.string(),
  tolerance: z.coerce.number().positive(),
})

/** A file without heads and attention: the test folders of the authors' weights have four. */
const usualHeads = 4

/** On average, and of each number. */
const halfBound: Bound = { tolerance: 0.2, mean: 2e-2 }
const leastCosine = 0.998

/** Processors differ by a grey level in places. */
const pictureBound: Bound = { tolerance: 0.035, mean: 1e-3 }
const isPicture = (name: string) => name.startsWith('preprocessed')

/** Vectors that stand for an image. */
const isFeature = (name: string) => /(?:^|\.)(?:pooled|image_embeds)$/.test(name)

export interface LayoutOptions {
  readonly device: Device
  readonly precision: PrecisionName
  /** Default: those of `withKernels`. */
  readonly kernels?: Kernels
}

/** Throws `CHECKPOINT`, `VALUE` or `USAGE` where the model cannot be read. */
export async function checkLayout(
  file: string,
  { device, precision, kernels }: LayoutOptions,
): Promise<Checked> {
  const { tensors, metadata } = readSafetensors(file)
  const heading = headingSchema.safeParse(metadata)
  if (!heading.success)
    throw new SherdError(
      'VALUE',
      `its metadata do not fit ${layoutFormat}: ${z.prettifyError(heading.error)}`,
    )
  const { tolerance, ...made } = heading.data
  const heads = tensors.get('expected.attention')?.shape[1] ?? usualHeads
  const [folder, base] = [dirname(file), { model: { heads } }]
  const where = device === 'cpu' ? 'cpu' : 'cuda'
  const encoder = await openEncoder({ model: folder, base, device: where, precision })
  const given = { encoder, tensors, ...made, folder, base }
  const [images, pretraining] = [await outputsOfImages(given), await outputsOfPretraining(given)]
  return noGrad(() =>
    scope(() => {
      const made = () => ({ ...images(), ...pretraining(), ...outputsOfPicture(given) })
      const outputs = withKernels(kernels ?? kernelsChosen(), made)
      const checks: Check[] = []
      const notSupported: string[] = []
      for (const [name, wanted] of tensors) {
        if (!name.startsWith('expected.')) continue
        const key = name.slice('expected.'.length)
        const found = outputs[key]
        if (found) checks.push(...checksOf(key, found, wanted, { precision, tolerance }))
        else notSupported.push(name)
      }
      return { checks, notSupported }
    }),
  )
}

function checksOf(
  name: string,
  found: LayoutOutputs[string],
  wanted: Tensor,
  { precision, tolerance }: { readonly precision: PrecisionName; readonly tolerance: number },
): Check[] {
  const [values, expected] = [
    toFloats(found),
    { data: toFloats(toDtype(wanted, 'float32')), shape: wanted.shape },
  ]
  if (isPicture(name)) return [compare(name, values, expected, pictureBound)]
  if (precision === 'fp32') return [compare(name, values, expected, { tolerance })]
  const checks = [compare(name, values, expected, halfBound)]
  if (!isFeature(name)) return checks
  const width = wanted.shape.at(-1)!
  const cosines = Array.from({ length: values.length / width }, (_, row) => {
    const part = (x: Float32Array) => x.subarray(row * width, (row + 1) * width)
    return 1 - cosine(part(values), part(expected.data))
  })
  const exact = { data: cosines.map(() => 0), shape: [cosines.length] }
  return [...checks, compare(`${name}, 1 − cosine`, cosines, exact, { tolerance: 1 - leastCosine })]
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [both, ofA, ofB] = [0, 0, 0]
  for (const [i, x] of a.entries()) {
    both += x * b[i]!
    ofA += x * x
    ofB += b[i]! * b[i]!
  }
  return both / Math.sqrt(ofA * ofB)
}
