/**
 * Files of published objectives that sherd does not have yet, with objectives written out here: the step, averages, state, cached features,
 * counts, clipping and freezing give the numbers of the authors' code, whole and in micro-batches.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/package-root.ts'
import { checkNetwork } from '../../src/verify/network.ts'
import type { Checked } from '../../src/verify/operator-file.ts'
import { dino } from './published/dino.ts'
import { mocov3 } from './published/mocov3.ts'
import { simclr } from './published/simclr.ts'

const folder = join(packageRoot(), '../shared/reference')
const file = (name: string) => join(folder, `${name}.safetensors`)

describe.skipIf(!existsSync(folder))('published objectives (skipped where ../shared is not)', () => {
  it.each<[string, number, (path: string) => Checked]>([
    ['self-distillation/dino-multicrop', 233, (path) => checkNetwork(dino, path, 'cpu')],
    ['self-distillation/mocov3-frozen-projection', 267, (path) => checkNetwork(mocov3, path, 'cpu')],
    ['self-distillation/simclr-plain', 144, (path) => checkNetwork(simclr, path, 'cpu')],
    ['self-distillation/simclr-batchnorm-lars', 89, (path) => checkNetwork(simclr, path, 'cpu')],
  ])('%s: %d checks', (name, total, check) => {
    const { checks, notSupported } = check(file(name))
    expect(checks.filter(({ passed }) => !passed)).toEqual([])
    expect([checks.length, notSupported]).toEqual([total, []])
  })
})
