/** CrossMAE as its authors' code computes it: mixed feature maps, what is decoded and where, loss, gradients, five steps; whole and sample by sample. */
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
const file = join(folder, 'crossmae-wfm.safetensors')

describe.skipIf(!existsSync(folder))('CrossMAE (skipped where ../shared is not)', () => {
  it('is right in every quantity', () => {
    const { checks, notSupported } = verifyFile(file)
    expect(checks.filter(({ passed }) => !passed)).toEqual([])
    expect(notSupported).toEqual([])
    const expected = ['out.mixed', 'out.pred', 'out.positions', 'loss', 'losses', 'microBatches.losses']
    const some = ['grad.wfm.linear.weight', 'final.dec_norms.1.weight', 'final.mask_token']
    expect(checks.map(({ name }) => name)).toEqual(expect.arrayContaining([...expected, ...some]))
  })

  it('other weights of the feature maps are another mixture, and another prediction at the same places', () => {
    const path = join(temporaryFolder(), 'changed.safetensors')
    scope(() => {
      const { tensors, metadata } = readSafetensors(file)
      const name = 'weights.wfm.linear.weight'
      writeSafetensors(path, new Map(tensors).set(name, mul(tensors.get(name)!, -1)), { ...metadata })
    })
    const failed = verifyFile(path).checks.filter(({ passed }) => !passed)
    const names = failed.map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(['out.mixed', 'out.pred', 'loss']))
    expect(names).not.toContain('out.positions')
  })
})
