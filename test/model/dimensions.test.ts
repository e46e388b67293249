import { describe, expect, it } from 'vitest'
import {
  checkDimensions,
  decoderBlocks,
  type EncoderDimensions,
  gridOfModel,
  hiddenWidth,
  patchWidth,
} from '../../src/model/dimensions.ts'
import { tiny, tinySizes } from './tiny-model.ts'

it('derives the grid, the patch and the MLP', () => {
  expect(gridOfModel(tiny)).toEqual({ h: 3, w: 5 })
  expect(patchWidth(tiny)).toBe(12)
  expect(hiddenWidth(tiny)).toBe(96)
  expect(hiddenWidth({ ...tiny, mlpRatio: 8 / 3 })).toBe(64)
  expect(hiddenWidth({ ...tiny, width: 10, mlpRatio: 2.55 })).toBe(25) // rounded down
  expect(decoderBlocks(tinySizes)).toMatchObject({
    width: 16,
    depth: 1,
    heads: 2,
    mlpRatio: 4,
    layerNormEpsilon: 1e-6,
  })
})

describe('checkDimensions', () => {
  it('accepts any number of channels, any multiple of the patch, patch sides from 2', () => {
    expect(() => checkDimensions(tiny)).not.toThrow()
    expect(() => checkDimensions({ ...tiny, channels: 13, imageSize: [2, 64] })).not.toThrow()
  })

  it.each<[Partial<EncoderDimensions>, string]>([
    [{ patchSize: [1, 2] }, 'model.patchSize: expected an integer of at least 2, got 1'],
    [{ patchSize: [2, 2.5] }, 'model.patchSize: expected an integer of at least 2, got 2.5'],
    [{ channels: 0 }, 'model.channels: expected an integer of at least 1, got 0'],
    [{ width: Number.NaN }, 'model.width: expected an integer of at least 1, got NaN'],
    [{ depth: 0 }, 'model.depth: expected an integer of at least 1, got 0'],
    [{ heads: 5 }, 'model.width 24 is not divisible by model.heads 5'],
    [
      { mlpRatio: 0 },
      'model.mlpRatio: expected a positive number that leaves at least one hidden unit, got 0',
    ],
    [
      { mlpRatio: 0.04 },
      'model.mlpRatio: expected a positive number that leaves at least one hidden unit, got 0.04',
    ],
    [
      { imageSize: [6, 9] },
      'An image of 6 × 9 pixels cannot be cut into patches of 2 × 2: its sides must be multiples of theirs',
    ],
  ])('refuses %j', (change, message) => {
    expect(() => checkDimensions({ ...tiny, ...change })).toThrow(
      expect.objectContaining({ code: 'SHAPE', message }),
    )
  })
})
