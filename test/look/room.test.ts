import { describe, expect, it } from 'vitest'
import { expectRoom, lookBytes } from '../../src/look/room.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import type { EncoderVariant } from '../../src/model/dimensions.ts'
import type { FrozenEncoder } from '../../src/weights/frozen-encoder.ts'
import { tiny } from '../model/tiny-model.ts'

const of = (side: number, variant: EncoderVariant = {}) => {
  const dimensions = { ...tiny, imageSize: [2 * side, 2 * side] as const, variant }
  return { dimensions, shape: plainBackbone(dimensions) } as unknown as FrozenEncoder
}
const relative: EncoderVariant = { relativePositions: { tables: 'shared', grid: { h: 3, w: 5 } } }

describe('the memory of a look', () => {
  it('grows with the patches, not with their pairs', () => {
    const ratio = lookBytes(of(1000), 8) / lookBytes(of(100), 8)
    expect(ratio).toBeCloseTo(100, 5)
  })

  it('grows with the pairs where positions are relative', () => {
    const pairs = lookBytes(of(100, relative), 1) - lookBytes(of(100), 1)
    expect(pairs).toBe(10_000 ** 2 * (12 * 3 + 8)) // 4.4 GB
  })

  it('is refused where there is less, with what would do', () => {
    expectRoom(of(100, relative), 1, 5e9)
    expect(() => expectRoom(of(100, relative), 1, 4e9)).toThrow(
      'Images of 200 × 200 pixels have 100 × 100 patches of this model. To look at 1 of them takes about 4.1 GiB of memory, since its relative positions give every pair of patches a number, and there is room for 3.7: give a smaller --image-size.',
    )
    expect(() => expectRoom(of(1000), 8, 1e6)).toThrow(
      /patches of this model\. .* of memory, and .* or --count\.$/,
    )
  })
})
