import { readdirSync } from 'node:fs'
import { expect, it } from 'vitest'
import { openEncoder } from '../../src/run/encoder.ts'
import { type Exported, exportOnnx } from '../../src/run/export-onnx.ts'
import { smallestCosine } from '../../src/run/prove-onnx.ts'
import { fromArray } from '../../src/tensor/tensor.ts'
import { tinyConfig, workFolder } from './tiny.ts'

it('a file that does not agree with LibTorch is not left behind', async () => {
  const out = await workFolder()
  const encoder = openEncoder({ model: 'random', config: tinyConfig(), device: 'cpu' })
  const broken = fromArray(new Float32Array(32).fill(Number.NaN), [32], 'float32')
  const parameters = new Map([...encoder.parameters, ['norm.bias', broken]])

  const exporting = async () => {
    const files: Exported[] = []
    for await (const file of exportOnnx({ encoder: { ...encoder, parameters }, out, precisions: ['fp32'] }))
      files.push(file)
  }
  await expect(exporting()).rejects.toThrow(
    'The fp32 graph does not agree with LibTorch on random samples: the largest difference is NaN',
  )
  expect(readdirSync(out)).toEqual([])
})

it('the cosine is that of the worst pair', () => {
  const a = Float32Array.of(1, 0, 3, 4)
  expect(smallestCosine(a, a, 2)).toBe(1)
  expect(smallestCosine(a, Float32Array.of(2, 0, 4, 3), 2)).toBeCloseTo(24 / 25, 12)
  expect(smallestCosine(a, Float32Array.of(0, 0, 3, 4), 2)).toBeNaN()
})
