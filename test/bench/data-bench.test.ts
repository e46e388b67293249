import { describe, expect, it } from 'vitest'
import { benchData, quantile } from '../../src/bench/data-bench.ts'
import { sampleFolder, tinyConfig } from '../run/tiny.ts'

describe('quantile', () => {
  it('is the smallest number that the share does not exceed', () => {
    const numbers = Array.from({ length: 20 }, (_, i) => 20 - i) // 20 … 1
    expect([quantile(numbers, 0.5), quantile(numbers, 0.95), quantile(numbers, 1)]).toEqual([10, 19, 20])
    expect([quantile([7], 0.5), quantile([7], 0.95)]).toEqual([7, 7])
  })
})

describe('benchData', () => {
  it('times the batches that were asked for and counts what was read', async () => {
    const data = await sampleFolder()
    const result = await benchData({ config: tinyConfig({ data: { workers: 2 } }), data, batches: 5 })
    const total = result.batchSeconds.all.reduce((a, b) => a + b)
    expect(result).toMatchObject({ images: 40, batch: 8, decodeThreads: 2, skipped: 0 })
    expect(result.batchSeconds.all).toHaveLength(5)
    expect(result.imagesPerSecond).toBeCloseTo(40 / total, 6)
    expect(result.imagesPerSecondPerThread).toBeCloseTo(20 / total, 6)
    expect(result.batchSeconds.p95).toBeGreaterThanOrEqual(result.batchSeconds.p50)
    if (process.platform === 'linux') expect(result.bytesRead).toBeGreaterThan(0)
  })

  it('throws what opening the source throws', async () => {
    const data = '/nowhere/at/all'
    await expect(benchData({ config: tinyConfig(), data, batches: 1 })).rejects.toMatchObject({
      code: 'SOURCE',
    })
  })
})
