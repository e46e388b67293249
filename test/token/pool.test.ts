import { describe, expect, it } from 'vitest'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { locationTokens, locationWidth, pool } from '../../src/token/pool.ts'
import { clsPrefix } from '../../src/token/prefix.ts'
import { expectClose, numbers } from '../tolerance.ts'

describe('pool', () => {
  // Two images of three tokens of two numbers behind cls.
  const tokens = () => ({
    sequence: tensor([...[90, 91, 1, 2, 3, 4, 5, 9], ...[80, 81, 1, 1, 2, 2, 4, 6]], [2, 4, 2]),
    prefix: clsPrefix,
  })

  it('takes cls, or the mean of the others', () =>
    scope(() => {
      expect(numbers(pool.cls(tokens()))).toEqual([90, 91, 80, 81])
      expectClose(pool.mean(tokens()), [3, 5, 7 / 3, 3], 1e-6)
    }))

  it('leaves out tokens without data, each image its own', () =>
    scope(() => {
      const present = tensor([1, 0, 1, 0, 1, 0], [2, 3])
      expectClose(pool.mean({ ...tokens(), present }), [3, 5.5, 2, 2], 1e-6)
    }))

  it('gives zeros, and not NaN, for an image without any data', () =>
    scope(() =>
      expect(numbers(pool.mean({ ...tokens(), present: tensor(Array(6).fill(0), [2, 3]) }))).toEqual([
        0, 0, 0, 0,
      ]),
    ))
})

describe('locationTokens', () => {
  const layout = { grid: { h: 1, w: 2 }, frames: 2, groups: 2 }
  // Token (g · 2 + t) · 2 + l is [n, −n]; its number n is 1, 2, 4 … 128, so that every sum tells its parts.
  const tokens = () => ({
    sequence: tensor([7, 7, ...[1, 2, 4, 8, 16, 32, 64, 128].flatMap((n) => [n, -n])], [1, 9, 2]),
    prefix: clsPrefix,
  })

  it('by hand: the mean over frames, groups behind one another', () => {
    expect(locationWidth(layout, 2)).toBe(4)
    scope(() => {
      const means = locationTokens(tokens(), layout)
      expect(means.shape).toEqual([1, 2, 4])
      // location 0: (1 + 4) / 2 of group 0, (16 + 64) / 2 of group 1; location 1: twice that.
      expectClose(means, [2.5, -2.5, 40, -40, 5, -5, 80, -80], 0)
    })
  })

  it('takes the frames that hold data', () =>
    scope(() => {
      // Frame 0 lacks location 0, both frames lack location 1.
      const present = tensor([0, 0, 1, 0, 0, 0, 1, 0], [1, 8])
      expectClose(locationTokens({ ...tokens(), present }, layout), [4, -4, 64, -64, 0, 0, 0, 0], 0)
    }))
})
