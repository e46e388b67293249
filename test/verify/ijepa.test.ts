/** I-JEPA as its authors' code computes it: features of the context, predictions, targets, loss, gradients, five steps, the teacher; whole and sample by sample. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { packageRoot } from '../../src/package-root.ts'
import { verifyFile } from '../../src/verify/verify.ts'

const file = join(packageRoot(), '../shared/reference/targets/ijepa-multiblock.safetensors')

it.skipIf(!existsSync(file))('ijepa-multiblock (skipped where ../shared is not)', () => {
  const { checks, notSupported } = verifyFile(file)
  expect(checks.filter(({ passed }) => !passed)).toEqual([])
  expect(notSupported).toEqual([])
  const names = checks.map(({ name }) => name)
  const outputs = ['out.context', 'out.pred', 'out.target']
  const teacher = 'finalTeacher.encoder.blocks.1.mlp.fc2.weight'
  expect(names).toEqual(expect.arrayContaining([...outputs, 'losses', teacher, `microBatches.${teacher}`]))
})
