// The whole way on photographs: a slice of CIFAR-10, where `../shared/data` is beside the repository.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../../src/package-root.ts'
import { inProcess, metricsOf, set, workFolder } from '../sherd.ts'

const archive = join(packageRoot(), '../shared/data/cifar10.tar.gz')

describe('sherd pretrain on CIFAR-10', () => {
  it('finds the ten classes, and its loss goes down', async ({ skip }) => {
    skip(!existsSync(archive), `there is no ${archive}`)
    const cwd = await workFolder()
    const unpacked = spawnSync('tar', [
      'xzf',
      archive,
      '-C',
      cwd,
      '--wildcards',
      'cifar10/train/*/000[0-9].jpg',
      'cifar10/train/*/001[0-9].jpg',
    ])
    expect(unpacked.stderr.toString()).toBe('')
    const args = [
      'pretrain',
      'mae-tiny-cifar10',
      '--data',
      'cifar10/train',
      '--out',
      'run',
      '--steps',
      '12',
      '--json',
    ]
    const { status, json } = await inProcess(
      [...args, ...set({ 'train.batchSize': 32, 'optim.baseLearningRate': 4e-3 })],
      { cwd },
    )
    expect(status).toBe(0)
    expect(json()[0]).toMatchObject({ kind: 'start', images: 200, classes: 10, totalSteps: 12 })
    const losses = metricsOf(join(cwd, 'run')).map(({ loss }) => loss)
    expect(losses).toHaveLength(12)
    expect(losses.every(Number.isFinite)).toBe(true)
    const thirds = [losses.slice(0, 4), losses.slice(4, 8), losses.slice(8)].map(
      (part) => part.reduce((a, b) => a + b) / 4,
    )
    expect(thirds[0]).toBeGreaterThan(thirds[1]!)
    expect(thirds[1]).toBeGreaterThan(thirds[2]!)
  })
})
