import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../src/package-root.ts'
import { resamplePositions } from '../../src/token/resample-positions.ts'
import { expectClose } from '../tolerance.ts'

const fixtures = join(packageRoot(), 'test/fixtures/weights')
const from = { h: 3, w: 3 }

it('gives what PyTorch gives for a larger grid that is no square', () => {
  const { tensors: model } = readArrays(join(fixtures, 'timm/model.safetensors'))
  const { tensors: expected } = readArrays(join(fixtures, 'expected.safetensors'))
  const table = (model.get('pos_embed')!.data as Float32Array).subarray(8)
  const made = resamplePositions(table, 8, { from, to: { h: 4, w: 5 } })
  expectClose(made, expected.get('timm.positions')!.data as Float32Array, 1e-6)
})

it('leaves the same grid as it is, and one number everywhere one number', () => {
  const table = Float32Array.from({ length: 18 }, (_, i) => i)
  expect(resamplePositions(table, 2, { from, to: from })).toBe(table)
  const flat = resamplePositions(new Float32Array(18).fill(3), 2, { from, to: { h: 7, w: 2 } })
  expect(flat).toHaveLength(28)
  expectClose(flat, new Float32Array(28).fill(3), 1e-6)
})
