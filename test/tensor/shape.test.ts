import { describe, expect, it } from 'vitest'
import { scope } from '../../src/tensor/scope.ts'
import { expectShape } from '../../src/tensor/shape.ts'
import { tensor } from '../../src/tensor/tensor.ts'

const x = () => tensor([1, 2, 3, 4, 5, 6], [1, 2, 3])

describe('expectShape', () => {
  it('gives the sizes', () => scope(() => expect(expectShape(x(), ['B', 2, 'D'], 'x')).toEqual([1, 2, 3])))

  it.each([
    [['B', 'N'], 'here: x: expected [B, N], got float32[1, 2, 3]'],
    [['B', 'N', 'D', 'E'], 'here: x: expected [B, N, D, E], got float32[1, 2, 3]'],
    [['B', 4, 'D'], 'here: x: expected [B, 4, D], got float32[1, 2, 3]'],
  ])('refuses %j', (pattern, message) =>
    scope(() =>
      expect(() => expectShape(x(), pattern, 'here: x')).toThrow(
        expect.objectContaining({ code: 'SHAPE', message }),
      ),
    ),
  )

  it('a letter stands for at least one', () =>
    scope(() =>
      expect(() => expectShape(tensor([], [2, 0]), ['B', 'N'], 'x')).toThrow(
        'x: expected [B, N], got float32[2, 0]',
      ),
    ))
})
