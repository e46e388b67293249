/** The quantiser of BEiT v2 as a reference file describes it: calls of training, one of evaluation, and k-means. */
import { z } from 'zod'
import { readSafetensors } from '../checkpoint/safetensors.ts'
import { SherdError } from '../errors.ts'
import { type Codebook, codebookAfter, countsAfter, kMeans, quantize, unitRows } from '../model/quantizer.ts'
import { backward, gradient, requireGradient } from '../tensor/context.ts'
import { add, cat, clone, mul, reshape, select, sum, toDevice } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import { compare } from './check.ts'
import { parseMetadata } from './metadata.ts'
import type { Checked } from './operator-file.ts'
import { boundOf } from './tolerances.ts'
import { numbersOf } from './trajectory.ts'

const count = z.int().positive()
const configSchema = z.strictObject({
  ...{ vectors: count, codeWidth: count, codes: count, calls: count },
  ...{ decay: z.number().gt(0).lt(1), beta: z.number().positive() },
})

const ROUNDS = 10

export const checkQuantizer = (file: string, device: Device): Checked =>
  scope(() => {
    const { metadata, tensors } = readSafetensors(file)
    const { beta, decay, calls } = parseMetadata(metadata.config, 'config', configSchema)
    const tensor = (name: string): Tensor => {
      const found = tensors.get(name)
      if (!found) throw new SherdError('VALUE', `it has no tensor "${name}"`)
      return toDevice(found, device)
    }
    const vectors = (step: number) => select(tensor('input.z'), 0, step)
    let state: Codebook = { codebook: tensor('state.codebook'), counts: tensor('state.clusterSize') }
    const found = new Map<string, Tensor>()
    const made = Array.from({ length: calls }, (_, step) => {
      const z = requireGradient(clone(vectors(step)))
      const { codes, quantized, commitment, ...used } = quantize(z, state.codebook)
      const loss = mul(commitment, beta)
      state = codebookAfter(state, used, decay)
      if (step === 0) {
        backward(add(loss, sum(mul(quantized, tensor('input.upstream')))))
        found.set('grad.z', gradient(z)!)
        found.set('out.quantized', quantized)
        found.set('out.codebookAfterOne', state.codebook)
        found.set('out.clusterSizeAfterOne', state.counts)
      }
      return { codes: reshape(codes, [1, -1]), loss: reshape(loss, [1]) }
    })
    const joined = (key: 'codes' | 'loss') =>
      cat(
        made.map((each) => each[key]),
        0,
      )
    found.set('out.codes', joined('codes'))
    found.set('losses', joined('loss'))
    found.set('finalState.codebook', state.codebook)
    found.set('finalState.clusterSize', state.counts)
    const evaluated = quantize(vectors(0), state.codebook)
    found.set('out.evalCodes', evaluated.codes)
    found.set('out.evalClusterSize', countsAfter(state.counts, evaluated.uses, decay))
    const means = kMeans(unitRows(vectors(0)), tensor('input.kmeansStart'), ROUNDS)
    found.set('out.kmeans', means.codebook)
    found.set('out.kmeansCount', means.counts)

    const expected = [...tensors.keys()].flatMap((name) =>
      name.startsWith('expected.') ? [name.slice('expected.'.length)] : [],
    )
    const unknown = expected.find((name) => !found.has(name))
    if (unknown !== undefined)
      throw new SherdError('VALUE', `it has a tensor that belongs to nothing: "expected.${unknown}"`)
    const checks = [...found].map(([name, actual]) => {
      const { shape, dtype } = tensor(`expected.${name}`)
      const wanted = { data: numbersOf(tensor(`expected.${name}`)), shape }
      const bound = dtype === 'int64' ? { tolerance: 0 } : boundOf('targets', name)
      return compare(name, numbersOf(actual), wanted, bound)
    })
    return { checks, notSupported: [] }
  })
