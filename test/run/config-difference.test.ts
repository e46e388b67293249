import { describe, expect, it } from 'vitest'
import { configKeys } from '../../src/config/keys.ts'
import { configDifferences } from '../../src/run/config-difference.ts'
import { tinyConfig } from './tiny.ts'

describe('configDifferences', () => {
  it('sees none between equal configurations', () => {
    expect(configDifferences(tinyConfig(), tinyConfig())).toEqual({ free: [], data: [], fixed: [] })
  })

  it('shows each with both values, and tells what may change from what may not', () => {
    const after = tinyConfig({
      data: { scale: [0.5, 1], maxPixels: 1000 },
      optim: { weightDecay: 0.1 },
      train: { steps: 9, batchSize: 4 },
      checkpoint: { everySteps: 3 },
      log: { everySteps: 2 },
    })
    expect(configDifferences(tinyConfig(), after)).toEqual({
      free: ['train.steps: 6 → 9', 'checkpoint.everySteps: 500 → 3', 'log.everySteps: 1 → 2'],
      data: ['data.maxPixels: 100000000 → 1000'],
      fixed: ['data.scale: [0.2,1] → [0.5,1]', 'optim.weightDecay: 0.05 → 0.1', 'train.batchSize: 8 → 4'],
    })
  })

  it('lets nothing change that decides what is learned from what', () => {
    const free = (key: string) =>
      /^(checkpoint|log)\./.test(key) ||
      ['target.model', 'target.tokenizer', 'mask.model'].includes(key) || // the teacher's place: its weights are compared by their hash
      /\.(steps|epochs|device|precision|kernels|recompute|record|threads|workers|prefetchBatches|cache|maxSkippedShare|fileTimeout|maxSkippedSteps|maxRollbacks)$/.test(
        key,
      )
    const refuses = (key: string) => /^(data\.(maxPixels|corrupt)|mask\.dir)$/.test(key) // which files are read
    const learned = configKeys().filter((key) => !free(key) && !refuses(key))
    expect(learned).toEqual(
      expect.arrayContaining(['objective', 'model.width', 'mask.ratio', 'train.seed', 'data.crop']),
    )
    for (const key of learned) {
      const after = structuredClone(tinyConfig()) as unknown as Record<string, unknown>
      const parts = key.split('.')
      const [name] = parts as [string]
      if (parts.length > 1) after[name] ??= {}
      const group = parts.length === 1 ? after : (after[name] as Record<string, unknown>)
      group[parts.at(-1)!] = 'other'
      const { fixed } = configDifferences(tinyConfig(), after as unknown as ReturnType<typeof tinyConfig>)
      expect(fixed).toEqual([expect.stringMatching(`^${key}: .* → "other"$`)])
    }
  })
})
