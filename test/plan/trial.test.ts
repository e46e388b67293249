import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { SherdError } from '../../src/errors.ts'
import { takeTrial, trialConfig } from '../../src/plan/take-trial.ts'
import { runTrial } from '../../src/plan/trial.ts'
import { sampleFolder, tinyConfig, workFolder } from '../run/tiny.ts'

let data: string
beforeAll(async () => {
  data = await sampleFolder()
})
const asked = { preset: 'tiny', seconds: 0, mostCheckpointBytes: 1e9 }

/** Folders for a time are made in one that nobody else uses. */
async function ownTemporary(): Promise<string> {
  const own = await workFolder()
  vi.stubEnv('TMPDIR', own)
  onTestFinished(() => void vi.unstubAllEnvs())
  expect(tmpdir()).toBe(own)
  return own
}

describe('trialConfig', () => {
  it('never ends, needs no statistics, and adds up two micro-batches at most', () => {
    const config = trialConfig(tinyConfig({ train: { accumulate: 16 }, data: { statistics: 'dataset' } }))
    expect(config.train).toMatchObject({ steps: 1_000_000, accumulate: 2, batchSize: 8 })
    expect(config.data).toMatchObject({ statistics: 'imagenet' })
  })
})

describe('takeTrial', () => {
  it('times every part of a run by taking it', async () => {
    const out = join(await workFolder(), 'run')
    const config = tinyConfig({
      train: { accumulate: 4 },
      data: { statistics: 'dataset' },
      log: { pictureEverySteps: 500, probe: data },
    })
    const counts: number[] = []
    const trial = await takeTrial({ ...asked, config, data, out }, (steps) => counts.push(steps))
    expect(trial.batch).toBe(16) // two of the four micro-batches
    expect(trial.steps).toBeGreaterThanOrEqual(1)
    expect(counts).toEqual(Array.from({ length: counts.length }, (_, i) => i + 1))
    for (const part of Object.values(trial.cost)) expect(part).toBeGreaterThan(0)
    expect(trial.peakBytes).toBeGreaterThan(100e6)
    const made = readdirSync(out)
    expect(made).toEqual(
      expect.arrayContaining(['checkpoints', 'samples', 'metrics.jsonl', 'loss-curve.png']),
    )
  })
  it('computes what a checkpoint takes that is too large to try', async () => {
    const out = join(await workFolder(), 'run')
    const { cost } = await takeTrial({ ...asked, config: tinyConfig(), data, out, mostCheckpointBytes: 0 })
    expect(readdirSync(join(out, 'checkpoints'))).toEqual([])
    expect(cost.checkpoint).toBeGreaterThan(1e-4) // 12 bytes of each weight, at 100 MB/s
    expect(cost.checkpoint).toBeLessThan(0.01)
  })
})

describe('runTrial', () => {
  it('does it in a process and a folder of its own, which it removes', async () => {
    const own = await ownTemporary()
    const trial = await runTrial({ ...asked, config: tinyConfig(), data })
    expect(trial).toMatchObject({ batch: 8, machine: { device: 'cpu' } })
    expect(readdirSync(own)).toEqual([])
  })
  it('stops at once, and passes on what is wrong', async () => {
    const own = await ownTemporary()
    const stop = new AbortController()
    const onProgress = () => stop.abort()
    const endless = { ...asked, config: tinyConfig(), data, seconds: 1000 }
    await expect(runTrial(endless, { signal: stop.signal, onProgress })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    })
    const nowhere = runTrial({ ...asked, config: tinyConfig(), data: join(data, 'nowhere') })
    await expect(nowhere).rejects.toMatchObject({ code: 'SOURCE' } satisfies Partial<SherdError>)
    expect(readdirSync(own)).toEqual([])
  })
})
