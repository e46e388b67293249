import { describe, expect, it } from 'vitest'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, tensor } from '../../src/tensor/tensor.ts'
import { checkGroups, joinRoutes, routeByGroup } from '../../src/token/spectral-groups.ts'
import { numbers } from '../tolerance.ts'

describe('checkGroups', () => {
  it('takes bands in any order, and leaves some out', () => {
    expect(() => checkGroups([[4, 0], [2]], 5)).not.toThrow()
  })

  it.each<[string, number[][], RegExp]>([
    ['no group', [], /expected at least one/],
    ['an empty group', [[0], []], /group 1 has no bands/],
    ['a band that is not there', [[0, 5]], /group 0 has band 5, expected 0 to 4/],
    ['half a band', [[0.5]], /band 0\.5/],
    [
      'a band in two groups',
      [
        [0, 1],
        [2, 1],
      ],
      /band 1 is in group 0 and in group 1/,
    ],
    ['a band twice', [[3, 3]], /band 3 is in group 0 and in group 0/],
  ])('refuses %s', (_, groups, message) => {
    expect(() => checkGroups(groups, 5)).toThrow(message)
  })
})

describe('routes', () => {
  it('part tokens by group, with their places, and join them again', () =>
    scope(() => {
      // Two samples of three groups on four locations; the second has none of group 1.
      const tokens = fromArray(BigInt64Array.from([9, 0, 5, 3, 11, 8, 2, 1], BigInt), [2, 4], 'int64')
      const routes = routeByGroup(tokens, { groups: 3, places: 4 })
      expect(routes.map(({ rows }) => numbers(rows))).toEqual([[1, 3, 6, 7], [2], [0, 4, 5]])
      // b · 4 + location
      expect(routes.map(({ places }) => numbers(places))).toEqual([[0, 3, 6, 5], [1], [1, 7, 4]])
      const parts = routes.map(({ rows }) =>
        tensor(
          numbers(rows).flatMap((row) => [row, -row]),
          [rows.shape[0]!, 2],
        ),
      )
      const joined = joinRoutes(parts, routes, [2, 4])
      expect(joined.shape).toEqual([2, 4, 2])
      expect(numbers(joined)).toEqual([0, 1, 2, 3, 4, 5, 6, 7].flatMap((row) => [row, row === 0 ? -0 : -row]))
    }))
})
