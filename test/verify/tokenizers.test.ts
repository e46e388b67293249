/** The quantiser and the tokenizer of BEiT v2 as their authors' code computes them. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readArrays, readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../src/package-root.ts'
import { mul } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { verifyFile } from '../../src/verify/verify.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'

const folder = join(packageRoot(), '../shared/reference/targets')
const own = join(packageRoot(), 'test/reference/objectives')
const file = (name: string) =>
  join(existsSync(join(own, `${name}.safetensors`)) ? own : folder, `${name}.safetensors`)
const expectedOf = (path: string) =>
  [...readArrays(path).tensors.keys()].flatMap((name) =>
    name.startsWith('expected.') ? [name.slice('expected.'.length)] : [],
  )

/** A copy with a tensor that is twice what it was. */
function doubled(name: string, which: string): string {
  const path = join(temporaryFolder(), 'changed.safetensors')
  scope(() => {
    const { tensors, metadata } = readSafetensors(file(name))
    writeSafetensors(path, new Map(tensors).set(which, mul(tensors.get(which)!, 2)), { ...metadata })
  })
  return path
}
const failed = (path: string) =>
  verifyFile(path)
    .checks.filter(({ passed }) => !passed)
    .map(({ name }) => name)

describe.skipIf(!existsSync(folder))('the quantiser of BEiT v2 (skipped where ../shared is not)', () => {
  it('every quantity of the file', () => {
    const { checks, notSupported, passed } = verifyFile(file('vqkd-quantizer'))
    expect(checks.filter((check) => !check.passed)).toEqual([])
    expect([notSupported, passed]).toEqual([[], true])
    expect(checks.map(({ name }) => name).sort()).toEqual(expectedOf(file('vqkd-quantizer')).sort())
  })

  it('another use at the start is another use at the end, and nothing else', () =>
    expect(failed(doubled('vqkd-quantizer', 'expected.out.clusterSizeAfterOne'))).toEqual([
      'out.clusterSizeAfterOne',
    ]))

  it('another upstream gradient is another gradient, and nothing else', () =>
    expect(failed(doubled('vqkd-quantizer', 'input.upstream'))).toEqual(['grad.z']))
})

describe.skipIf(!existsSync(folder))('the tokenizer of BEiT v2 (skipped where ../shared is not)', () => {
  it('loss, parts, codes, gradients, five steps and the codebook, whole and image by image', () => {
    const { checks, notSupported, passed } = verifyFile(file('vqkd-tokenizer'))
    expect(checks.filter((check) => !check.passed)).toEqual([])
    expect([notSupported, passed]).toEqual([[], true])
    const expected = expectedOf(file('vqkd-tokenizer'))
    const names = checks.map(({ name }) => name)
    expect(names.filter((name) => !name.startsWith('microBatches.')).sort()).toEqual(expected.sort())
    expect(names).toContain('microBatches.finalState.quantize.embedding.weight')
  })

  it('another code at the start is found', () =>
    expect(failed(doubled('vqkd-tokenizer', 'state.quantize.embedding.weight'))).toEqual(
      expect.arrayContaining(['loss', 'out.decoded', 'finalState.quantize.embedding.weight']),
    ))
})

describe('a convolutional VQ-VAE (scripts/reference/make_vq_pixels.py)', () => {
  it('loss, parts, codes, images, gradients, five steps and the codebook, whole and image by image', () => {
    const { checks, notSupported, passed } = verifyFile(file('vq-pixels'))
    expect(checks.filter((check) => !check.passed)).toEqual([])
    expect([notSupported, passed]).toEqual([[], true])
    const names = checks.map(({ name }) => name)
    expect(names.filter((name) => !name.startsWith('microBatches.')).sort()).toEqual(
      expectedOf(file('vq-pixels')).sort(),
    )
    expect(names).toContain('microBatches.finalState.quantize.embedding.weight')
  })

  it('other weights of a transposed convolution are other images and codes as before', () => {
    const names = failed(doubled('vq-pixels', 'weights.decoder.up.1.weight'))
    expect(names).toEqual(expect.arrayContaining(['loss', 'out.decoded', 'grad.decoder.up.0.weight']))
    expect(names).not.toContain('out.codes')
  })
})
