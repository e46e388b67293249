// A run learns the same wherever its images are kept.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { runPaths } from '../../src/checkpoint/run-folder.ts'
import type { CacheKind } from '../../src/prepare/cache/caches.ts'
import { caches } from '../../src/prepare/cache/caches.ts'
import { run, sampleFolder, tinyConfig, workFolder } from './tiny.ts'

let data: string
beforeAll(async () => {
  data = await sampleFolder(18)
})

const configOf = (cache: CacheKind, steps: number) => tinyConfig({ data: { cache }, train: { steps } })

/** The numbers of every step that do not depend on time. */
const learned = (out: string) =>
  readFileSync(runPaths(out).metrics, 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const { step, loss, gradientNorm, epoch } = JSON.parse(line) as Record<string, number>
      return { step, loss, gradientNorm, epoch }
    })

describe('data.cache', () => {
  it('changes no loss, also where a run is resumed with another one', async () => {
    const losses = []
    for (const cache of caches) {
      const out = join(await workFolder(), cache)
      await run({ config: configOf(cache, 6), data, out })
      losses.push(learned(out))
    }
    expect(losses[0]).toHaveLength(6)
    expect(losses[1]).toEqual(losses[0])
    expect(losses[2]).toEqual(losses[0])

    const out = join(await workFolder(), 'resumed')
    const stop = new AbortController()
    await run({
      config: configOf('memory', 6),
      data,
      out,
      signal: stop.signal,
      onProgress: ({ step }) => step >= 3 && stop.abort(),
    })
    await run({ config: configOf('device', 6), out, resume: true })
    expect(learned(out)).toEqual(losses[0])
  })

  it('refuses what it cannot keep before anything is written', async () => {
    const out = join(await workFolder(), 'refused')
    const config = tinyConfig({ data: { cache: 'device', photometric: 'dino.local' } })
    await expect(run({ config, data, out })).rejects.toMatchObject({ code: 'CONFIG' })
    expect(() => readFileSync(runPaths(out).metrics)).toThrow('ENOENT')
  })
})
