/** SimMIM, MaskFeat, BEiT and BEiT v2 as their authors' code computes them: loss, predictions, gradients, five steps; whole and sample by sample. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../src/package-root.ts'
import { mul } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { verifyFile } from '../../src/verify/verify.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'

const folder = join(packageRoot(), '../shared/reference/targets')
const file = (name: string) => join(folder, `${name}.safetensors`)

describe.skipIf(!existsSync(folder))('mask tokens in the encoder (skipped where ../shared is not)', () => {
  it.each([
    ['simmim-vit', ['pred', 'mask'], []],
    ['maskfeat-vit', ['pred', 'target'], []],
    ['beit-shared', ['logits'], []],
    ['beit-perblock', ['logits'], []],
    ['beitv2-cls', ['logits', 'earlyLogits'], ['final', 'early']],
    ['data2vec-vision', ['pred', 'target'], []],
  ])('%s', (name, outputs, parts) => {
    const { checks, notSupported } = verifyFile(file(name))
    expect(checks.filter(({ passed }) => !passed)).toEqual([])
    expect(notSupported).toEqual([])
    const expected = ['loss', 'losses', ...outputs.map((out) => `out.${out}`), 'microBatches.losses']
    expected.push(...parts.map((part) => `part.${part}`))
    expect(checks.map((check) => check.name)).toEqual(expect.arrayContaining(expected))
  })

  it('a mask token of twice its size is another prediction', () => {
    const path = join(temporaryFolder(), 'changed.safetensors')
    scope(() => {
      const { tensors, metadata } = readSafetensors(file('simmim-vit'))
      const token = 'weights.encoder.mask_token'
      writeSafetensors(path, new Map(tensors).set(token, mul(tensors.get(token)!, 2)), { ...metadata })
    })
    const failed = verifyFile(path).checks.filter(({ passed }) => !passed)
    const names = failed.map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(['loss', 'out.pred', 'grad.encoder.mask_token']))
    expect(names).not.toContain('out.mask')
  })
})
