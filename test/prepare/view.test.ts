import { describe, expect, it } from 'vitest'
import { viewOf, withoutNaN } from '../../src/prepare/view.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { numbers, wave } from '../tolerance.ts'

describe('withoutNaN', () => {
  const none = Number.NaN

  it('by hand: a pixel that lacks one band lacks all of its frame, and no other', () =>
    scope(() => {
      // Two frames of two bands of 1 × 3 pixels.
      const pixels = tensor(
        [...[1, none, 3], ...[4, 5, 6], ...[7, 8, none], ...[10, 11, none]],
        [1, 2, 2, 1, 3],
      )
      const { pixels: known, valid } = withoutNaN(pixels)
      expect(known.shape).toEqual([1, 2, 2, 1, 3])
      expect(numbers(known)).toEqual([...[1, 0, 3], ...[4, 0, 6], ...[7, 8, 0], ...[10, 11, 0]])
      expect(valid!.shape).toEqual([1, 2, 1, 3])
      expect(numbers(valid!)).toEqual([1, 0, 1, 1, 1, 0])
    }))

  it('gives zeros for a missing frame, and for what is infinite where another band is unknown', () =>
    scope(() => {
      const infinite = Number.POSITIVE_INFINITY
      const pixels = tensor(
        [...[none, none], ...[none, none], ...[infinite, 1], ...[none, 2]],
        [1, 2, 2, 1, 2],
      )
      const { pixels: known, valid } = withoutNaN(pixels)
      expect(numbers(known)).toEqual([0, 0, 0, 0, 0, 1, 0, 2])
      expect(numbers(valid!)).toEqual([0, 0, 0, 1])
    }))

  it('says that there is data everywhere by saying nothing', () =>
    scope(() => {
      const pixels = tensor(wave(24), [2, 1, 3, 2, 2])
      expect(withoutNaN(pixels)).toEqual({ pixels, valid: null })
    }))
})

describe('viewOf', () => {
  it('makes one frame of images, and keeps frames of five dimensions', () =>
    scope(() => {
      const values = wave(24)
      const images = tensor(values, [2, 3, 2, 2])
      const plain = { valid: null, times: null, resolution: null }
      const made = viewOf(images)
      expect(made).toMatchObject(plain)
      expect(made.pixels.shape).toEqual([2, 1, 3, 2, 2])
      expect(numbers(made.pixels)).toEqual(numbers(images))
      const frames = tensor(values, [1, 2, 3, 2, 2])
      expect(viewOf(frames)).toEqual({ ...plain, pixels: frames })
    }))

  it('refuses what is no image', () =>
    scope(() => {
      expect(() => viewOf(tensor([1, 2], [1, 2]))).toThrow('images: expected [B, C, H, W], got float32[1, 2]')
    }))
})
