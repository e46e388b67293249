import { describe, expect, it } from 'vitest'
import { openStepBench } from '../../src/bench/step-bench.ts'
import { tinyConfig } from '../run/tiny.ts'

describe('openStepBench', () => {
  it('takes real steps: the loss on the same random images goes down', async () => {
    const bench = await openStepBench(
      tinyConfig({ target: { normalize: false }, train: { precision: 'fp32' } }),
    )
    const first = bench.run(1)
    expect(first.seconds).toHaveLength(1)
    expect(first.seconds[0]).toBeGreaterThan(0)
    expect(first.peakBytes).toBeGreaterThan(1e7)
    expect(bench).toMatchObject({ batch: 8, machine: { precision: 'float32', threads: 1 } })
    expect(bench.flopsPerImage).toBe(6 * (6144 + 63040 + 2560 + 61472 + 9216)) // ends, encoder block, map, decoder block
    expect(bench.run(60).loss).toBeLessThan(0.97 * first.loss)
  })

  it('takes any number of channels', async () => {
    expect((await openStepBench(tinyConfig({ model: { channels: 5 } }))).run(1).loss).toBeGreaterThan(0)
  })
})
