import { describe, expect, it } from 'vitest'
import { backboneRows } from '../../src/model/backbone.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import { imagenetStatistics } from '../../src/prepare/normalize.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { pool } from '../../src/token/pool.ts'
import { clsPrefix } from '../../src/token/prefix.ts'
import { extractFeatures, type FrozenEncoder, tokensOf, valuesOf } from '../../src/weights/frozen-encoder.ts'
import { stirredParameters, tiny } from '../model/tiny-model.ts'
import { expectClose, numbers } from '../tolerance.ts'

const encoder: FrozenEncoder = {
  shape: plainBackbone(tiny),
  dimensions: tiny,
  parameters: stirredParameters({ rows: backboneRows(plainBackbone(tiny)) }),
  statistics: imagenetStatistics,
  device: 'cpu',
  precision: 'float32',
}
const [H, W] = tiny.imageSize
const bytes = H * W * 3

const pixelsOf = (count: number, change?: (image: number, byte: number) => number) => ({
  pixels: Uint8Array.from({ length: count * bytes }, (_, i) =>
    change ? change(Math.floor(i / bytes), i % bytes) : (i * 31 + Math.floor(i / bytes) * 7) % 256,
  ),
  shape: [count, H, W, 3] as const,
})

it('sees every patch: the cls token changes with any of them', () =>
  scope(() => {
    const tokens = (pixels: Parameters<ReturnType<typeof tokensOf>>[0]) => tokensOf(encoder)(pixels)
    const plain = (image: number, byte: number) => (byte * 31 + image) % 256
    const own = tokens(pixelsOf(1, (_, byte) => plain(0, byte)))
    expect(own.sequence.shape).toEqual([1, 16, 24])
    const cls = numbers(pool.cls(own))
    for (let patch = 0; patch < 15; patch++) {
      const at = (Math.floor(patch / 5) * 2 * W + (patch % 5) * 2) * 3
      const other = tokens(pixelsOf(1, (_, byte) => plain(0, byte) ^ (byte === at ? 128 : 0)))
      const moved = numbers(pool.cls(other)).reduce((most, x, i) => Math.max(most, Math.abs(x - cls[i]!)), 0)
      expect(moved).toBeGreaterThan(1e-4)
    }
  }))

it('pools the first token, or the mean of the others', () =>
  scope(() => {
    const tokens = { sequence: tensor([9, 8, 1, 2, 3, 4, 5, 6], [1, 4, 2]), prefix: clsPrefix }
    expect(numbers(pool.cls(tokens))).toEqual([9, 8])
    expect(numbers(pool.mean(tokens))).toEqual([3, 4])
  }))

describe('extractFeatures', () => {
  async function* batches(sizes: readonly number[]) {
    const all = pixelsOf(7)
    let first = 0
    for (const size of sizes) {
      yield {
        pixels: all.pixels.subarray(first * bytes, (first + size) * bytes),
        shape: [size, H, W, 3] as const,
        indices: Int32Array.from({ length: size }, (_, i) => 10 + first + i),
      }
      first += size
    }
  }

  it('keeps the order, and gives what one large batch gives', async () => {
    const told: number[] = []
    const [parts, whole] = await Promise.all([
      extractFeatures(encoder, batches([3, 3, 1]), { onBatch: (done) => told.push(done) }),
      extractFeatures(encoder, batches([7])),
    ])
    expect(told).toEqual([0, 3, 6, 7])
    expect([...parts.indices]).toEqual([10, 11, 12, 13, 14, 15, 16])
    expect([parts.count, valuesOf(parts, 'mean').width]).toEqual([7, 24])
    noGrad(() =>
      scope(() => {
        const tokens = tokensOf(encoder)(pixelsOf(7))
        for (const pooling of ['cls', 'mean'] as const) {
          const { values } = valuesOf(whole, pooling)
          expectClose(valuesOf(parts, pooling).values, values, 1e-5)
          expectClose(values, pool[pooling](tokens), 1e-5)
        }
      }),
    )
  })
})
