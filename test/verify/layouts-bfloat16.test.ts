// Every published layout in bfloat16, within the bounds that its folder's numbers are held to, by the kernels of this processor and by
// LibTorch's operators, which every other one has: a path is forced, never chosen.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { packageRoot } from '../../src/package-root.ts'
import { verify } from '../../src/verify/verify.ts'

const layouts = join(packageRoot(), '../shared/reference/layouts')
const names = existsSync(layouts) ? readdirSync(layouts).filter((name) => !name.startsWith('videomae-')) : []
const paths = ['fused', 'composed'] as const

it.skipIf(names.length === 0).each(names)('%s', async (name) => {
  for (const kernels of paths) {
    const how = { device: 'cpu', precision: 'bf16', kernels } as const
    const { checks } = await verify(join(layouts, name, 'expected.safetensors'), how)
    const compared = checks.filter((check) => !check.name.startsWith('preprocessed'))
    expect(compared.length).toBeGreaterThan(2)
    expect([kernels, compared.filter((check) => !check.passed)]).toEqual([kernels, []])
    // Float32 under the name of bfloat16 would be a thousand times nearer.
    const tokens = compared.filter((check) => /intermediate$/.test(check.name))
    for (const { largestDifference } of tokens) expect(largestDifference).toBeGreaterThan(1e-4)
  }
})
