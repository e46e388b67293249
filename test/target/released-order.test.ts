import { describe, expect, it } from 'vitest'
import { checkReleased, releasedLoss, releasedOrder } from '../../src/target/released-order.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers } from '../tolerance.ts'

// Groups of two and one band, of two locations of two pixels. Head 0 was declared for bands 2 and 1, head 1 for band 0.
const groups = [[2, 1], [0]]

describe('releasedOrder', () => {
  it('by hand: what heads say one behind the other is bands 0, 1, 2, each of them pixel by pixel', () =>
    scope(() => {
      const head0 = tensor([...[10, 11, 20, 21], ...[12, 13, 22, 23]], [1, 2, 4])
      const head1 = tensor([...[30, 31], ...[32, 33]], [1, 2, 2])
      const bands = releasedOrder([head0, head1], 2)
      expect(bands.shape).toEqual([1, 2, 2, 3])
      // location, pixel: band 0 and 1 from head 0, band 2 from head 1
      expect(numbers(bands)).toEqual([...[10, 20, 30], ...[11, 21, 31], ...[12, 22, 32], ...[13, 23, 33]])
    }))
})

describe('releasedLoss', () => {
  // Band 0 is off by 1, band 1 by 2, band 2 by 4 at location 0; by 3, 5 and 7 at location 1.
  const off = [...[1, 2, 4], ...[1, 2, 4], ...[3, 5, 7], ...[3, 5, 7]]
  const patches = () => tensor([...[0, 7, 1], ...[5, 2, 2], ...[8, 1, 1], ...[4, 4, 0]], [1, 2, 6])
  const target = (normalize: boolean) => ({ patches: patches(), groups, pixels: 2, normalize })
  const lossAt = (mask: readonly number[]) => {
    const predicted = tensor(
      numbers(patches()).map((value, i) => value + off[i]!),
      [1, 2, 2, 3],
    )
    return item(releasedLoss(predicted, target(false), tensor([...mask], [1, 4])))
  }

  it('by hand: the error of a band counts where the token of the group that lists it is hidden', () =>
    scope(() => {
      // Tokens: group 0 at location 0 and 1, then group 1. Group 0 lists bands 1 and 2.
      expect(lossAt([1, 0, 0, 0])).toBe((4 + 16) / 2)
      expect(lossAt([0, 1, 0, 0])).toBe((25 + 49) / 2)
      expect(lossAt([0, 0, 1, 0])).toBe(1)
      expect(lossAt([0, 0, 0, 1])).toBe(9)
      expect(lossAt([1, 0, 0, 1])).toBe((10 + 9) / 2)
      expect(lossAt([1, 1, 1, 1])).toBe((10 + 37 + 1 + 9) / 4)
    }))

  it('normalises by all bands at the location', () =>
    scope(() => {
      // 0 7 1 5 2 2: mean 17/6; Σx² = 83.
      const variance = (83 - (17 * 17) / 6) / 5
      const silent = tensor(Array(12).fill(0), [1, 2, 2, 3])
      const square = (x: number) => (x - 17 / 6) ** 2 / (variance + 1e-6)
      const loss = releasedLoss(silent, target(true), tensor([1, 0, 1, 0], [1, 4]))
      const group0 = [7, 1, 2, 2].map(square).reduce((a, b) => a + b) / 4
      const group1 = [0, 5].map(square).reduce((a, b) => a + b) / 2
      expectClose(loss, [(group0 + group1) / 2], 1e-5)
    }))
})

it.each([
  ['no groups', null, 3, 1],
  ['a band in no group', [[0], [2]], 3, 1],
  ['several dates', [[0], [1], [2]], 3, 2],
])('checkReleased refuses %s', (_, given, channels, frames) => {
  expect(() => checkReleased(given, channels, frames)).toThrow(
    /decoder\.compat "satmae": expected spectral groups that hold each of the 3 bands once, and one frame/,
  )
  expect(() => checkReleased([[2, 0], [1]], 3, 1)).not.toThrow()
})
