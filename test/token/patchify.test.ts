import { describe, expect, it } from 'vitest'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { patchify, patchifyGroups, patchifyValid, unpatchify } from '../../src/token/patchify.ts'
import { numbers, product } from '../tolerance.ts'

/** Images whose every element is its own index. */
const counted = (shape: [number, number, number, number]) =>
  tensor(
    Array.from({ length: product(shape) }, (_, i) => i),
    shape,
  )

describe('patchify', () => {
  it('goes row by row over a wide image, and row, column, channel inside a patch', () =>
    scope(() => {
      // Two channels of 2 × 4 pixels:  0 1 2 3      8  9 10 11
      //                                4 5 6 7     12 13 14 15
      const patches = patchify(counted([1, 2, 2, 4]), 2)
      expect(patches.shape).toEqual([1, 2, 8])
      expect(numbers(patches)).toEqual([0, 8, 1, 9, 4, 12, 5, 13, 2, 10, 3, 11, 6, 14, 7, 15])
    }))

  it('goes through the rows of a high image first', () =>
    scope(() => {
      // 4 × 2 pixels, one channel: the second patch is below the first.
      expect(numbers(patchify(counted([1, 1, 4, 2]), 2))).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    }))

  it.each([
    { shape: [2, 3, 6, 9], P: 3 },
    { shape: [1, 5, 4, 6], P: 2 },
    { shape: [3, 1, 4, 12], P: 4 },
    { shape: [1, 13, 2, 2], P: 2 },
    { shape: [2, 3, 4, 16], P: 2, Q: 8 },
    { shape: [1, 2, 9, 4], P: 3, Q: 1 },
  ])('puts every pixel where the definition says: $shape, $P × $Q', ({ shape, P, Q = P }) =>
    scope(() => {
      const [B, C, H, W] = shape as [number, number, number, number]
      const expected = new Array<number>(product(shape))
      const [h, w] = [H / P, W / Q]
      for (let i = 0; i < expected.length; i++) {
        const [x, y] = [i % W, Math.floor(i / W) % H]
        const [c, b] = [Math.floor(i / (W * H)) % C, Math.floor(i / (W * H * C))]
        const patch = Math.floor(y / P) * w + Math.floor(x / Q)
        const inside = ((y % P) * Q + (x % Q)) * C + c
        expected[(b * h * w + patch) * P * Q * C + inside] = i
      }
      expect(numbers(patchify(counted([B, C, H, W]), [P, Q]))).toEqual(expected)
    }),
  )

  it.each([
    { shape: [2, 3, 6, 9], P: 3 },
    { shape: [1, 5, 4, 6], P: 2 },
    { shape: [1, 1, 28, 14], P: 14 },
    { shape: [2, 3, 4, 16], P: 2, Q: 8 },
  ])('is undone by unpatchify: $shape, $P × $Q', ({ shape, P, Q = P }) =>
    scope(() => {
      const [B, C, H, W] = shape as [number, number, number, number]
      const images = counted([B, C, H, W])
      const back = unpatchify(patchify(images, [P, Q]), { patchSize: [P, Q], grid: { h: H / P, w: W / Q } })
      expect(back.shape).toEqual(shape)
      expect(numbers(back)).toEqual(numbers(images))
    }),
  )

  it('refuses what it cannot cut', () =>
    scope(() => {
      expect(() => patchify(counted([1, 1, 4, 6]), 4)).toThrow(
        /4 × 6 pixels cannot be cut into patches of 4 × 4/,
      )
      expect(() => patchify(tensor([1], [1]), 2)).toThrow(
        'patchify: images: expected [B, C, H, W], got float32[1]',
      )
    }))
})

describe('unpatchify', () => {
  it('refuses a grid that the patches do not fill', () =>
    scope(() => {
      const patches = patchify(counted([1, 1, 4, 4]), 2)
      expect(() => unpatchify(patches, { patchSize: 2, grid: { h: 3, w: 2 } })).toThrow(
        'unpatchify: patches: expected [B, 6, P·P·C], got float32[1, 4, 4]',
      )
      expect(() => unpatchify(patches, { patchSize: 3, grid: { h: 2, w: 2 } })).toThrow()
    }))
})

describe('patchifyGroups', () => {
  // One sample of two frames of three bands of 2 × 4 pixels: the number of a value says where it stands.
  const pixels = () =>
    tensor(
      Array.from({ length: 48 }, (_, i) => i),
      [1, 2, 3, 2, 4],
    )

  it('by hand: frame by frame, bands in the order of the group', () =>
    scope(() => {
      const [first, second] = patchifyGroups(pixels(), [[2, 0], [1]], 2)
      expect(first!.shape).toEqual([1, 4, 8])
      expect(numbers(first!)).toEqual([
        ...[16, 0, 17, 1, 20, 4, 21, 5],
        ...[18, 2, 19, 3, 22, 6, 23, 7],
        ...[40, 24, 41, 25, 44, 28, 45, 29],
        ...[42, 26, 43, 27, 46, 30, 47, 31],
      ])
      expect(numbers(second!)).toEqual([8, 9, 12, 13, 10, 11, 14, 15, 32, 33, 36, 37, 34, 35, 38, 39])
    }))

  it('by hand: all bands in another order than theirs', () =>
    scope(() => {
      const [all] = patchifyGroups(pixels(), [[2, 0, 1]], 2)
      expect(numbers(all!).slice(0, 12)).toEqual([
        ...[16, 0, 8],
        ...[17, 1, 9],
        ...[20, 4, 12],
        ...[21, 5, 13],
      ])
    }))

  it('of all bands in their order is patchify, frame after frame', () =>
    scope(() => {
      const [all] = patchifyGroups(pixels(), [[0, 1, 2]], 2)
      const frames = patchify(
        tensor(
          Array.from({ length: 48 }, (_, i) => i),
          [2, 3, 2, 4],
        ),
        2,
      )
      expect(numbers(all!)).toEqual(numbers(frames))
    }))
})

it('patchifyValid by hand: in the order of a patch’s pixels, frame by frame', () =>
  scope(() => {
    // Frame 0 lacks the pixel at row 1, column 2; frame 1 has only that at row 0, column 1.
    const valid = tensor([1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0], [1, 2, 2, 4])
    const cut = patchifyValid(valid, 2)
    expect(cut.shape).toEqual([1, 4, 4])
    expect(numbers(cut)).toEqual([1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0])
  }))
