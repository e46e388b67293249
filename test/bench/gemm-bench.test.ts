import { describe, expect, it } from 'vitest'
import { benchGemm, modelShapes } from '../../src/bench/gemm-bench.ts'
import { stepFlops } from '../../src/config/step-cost.ts'
import { tinyConfig } from '../run/tiny.ts'

describe('modelShapes', () => {
  it('are those of a batch: maps take all images as one matrix, attention each head by itself', () => {
    const shapes = new Map(modelShapes(tinyConfig()).map(({ name, shape }) => [name, shape]))
    // 8 images of 16 patches, 4 of them kept; encoder 32 wide with 2 heads, decoder 16 wide with 2 heads.
    expect(shapes.get('blocks.attn.qkv')).toEqual({ rows: 8 * 5, inner: 32, columns: 96, batch: 1 })
    expect(shapes.get('blocks.attn.scores')).toEqual({ rows: 5, inner: 16, columns: 5, batch: 16 })
    expect(shapes.get('decoder_blocks.attn.mix')).toEqual({ rows: 17, inner: 17, columns: 8, batch: 16 })
    expect(shapes.get('decoder_pred')).toEqual({ rows: 8 * 12, inner: 16, columns: 48, batch: 1 })
  })

  it('hold all operations of a step of one block each', () => {
    const config = tinyConfig()
    const forward = modelShapes(config).map(
      ({ shape: { rows, inner, columns, batch } }) => 2 * rows * inner * columns * batch,
    )
    const perImage = stepFlops(config)
    expect(3 * forward.reduce((a, b) => a + b)).toBe(8 * perImage)
  })
})

describe('benchGemm', () => {
  it('gives the best rate of each type as the peak', async () => {
    const { rows, peak, machine } = await benchGemm(tinyConfig(), { repeats: 1 })
    expect(machine.threads).toBe(1)
    expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining(['square', 'blocks.mlp.fc1']))
    expect(peak.float32).toBe(Math.max(...rows.map(({ float32 }) => float32)))
    expect(peak.bfloat16).toBe(Math.max(...rows.map(({ bfloat16 }) => bfloat16)))
    expect(Math.min(...rows.map(({ float32 }) => float32))).toBeGreaterThan(0)
  })
})
