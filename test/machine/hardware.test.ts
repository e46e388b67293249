import { chmodSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { coreCount, cpuName, gpus } from '../../src/machine/hardware.ts'
import { temporaryFolder } from '../prepare/decode/make-images.ts'

afterEach(() => vi.unstubAllEnvs())

/** Makes `nvidia-smi` this shell script. */
async function stubDriver(script: string): Promise<void> {
  const dir = await temporaryFolder()
  const path = join(dir, 'nvidia-smi')
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
  vi.stubEnv('PATH', dir)
}

describe('hardware', () => {
  it('knows the CPU', () => {
    expect(coreCount()).toBe(availableParallelism())
    expect(cpuName()).toMatch(/\S/)
  })

  it('reads what the NVIDIA driver reports', async () => {
    await stubDriver('echo "NVIDIA H200, 9.0, 143771 MiB"; echo "Tesla T4, 7.5, 15360 MiB"')
    expect(gpus()).toEqual([
      { name: 'NVIDIA H200', capability: 9, memory: '143771 MiB' },
      { name: 'Tesla T4', capability: 7.5, memory: '15360 MiB' },
    ])
  })

  it('sees no GPU without a driver, or when the driver fails', async () => {
    vi.stubEnv('PATH', await temporaryFolder())
    expect(gpus()).toEqual([])
    await stubDriver('echo "NVIDIA-SMI has failed"; exit 9')
    expect(gpus()).toEqual([])
  })
})
