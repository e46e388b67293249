// Needs a GPU and a LibTorch with CUDA; skipped elsewhere. scripts/gpu.mjs runs it where there is one.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/package-root.ts'
import { engineBuild } from '../../src/tensor/context.ts'
import { verifyFile } from '../../src/verify/verify.ts'

const folder = join(packageRoot(), 'test/reference')
const files = readdirSync(folder).filter((name) => name.endsWith('.safetensors'))

describe.skipIf(engineBuild().cudaDevices === 0)('reference files on a GPU', () => {
  it.each(files)('%s: the same tolerances as on a CPU', (name) => {
    const failed = verifyFile(join(folder, name), 'cuda').checks.filter(({ passed }) => !passed)
    expect(failed).toEqual([])
  })
})
