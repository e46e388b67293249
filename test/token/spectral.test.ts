import { describe, expect, it } from 'vitest'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, tensor } from '../../src/tensor/tensor.ts'
import { maskOf, planFromNoise, spreadPlan } from '../../src/token/mask.ts'
import { sineCosinePositions } from '../../src/token/position.ts'
import {
  checkGroups,
  joinRoutes,
  routeByGroup,
  sineCosine,
  spectralPositions,
} from '../../src/token/spectral.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'

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

describe('spectralPositions', () => {
  it('are the place, and behind it the group', () => {
    const grid = { h: 2, w: 3 }
    const table = spectralPositions(grid, 2, { width: 14, groupWidth: 6 })
    const places = sineCosinePositions(grid, 8)
    for (const [g, own] of [sineCosine(0, 6), sineCosine(1, 6)].entries())
      for (let l = 0; l < 6; l++) {
        const row = table.subarray((g * 6 + l) * 14, (g * 6 + l + 1) * 14)
        expect([...row]).toEqual([...places.subarray(l * 8, l * 8 + 8), ...own])
      }
  })

  it('a group is all sines, then all cosines', () => {
    const w = (k: number) => 10000 ** (-k / 2)
    expectClose(
      sineCosine(3, 4),
      [0, 1].map((k) => Math.sin(3 * w(k))).concat([0, 1].map((k) => Math.cos(3 * w(k)))),
      1e-7,
    )
    expect([...sineCosine(0, 4)]).toEqual([0, 0, 1, 1])
    expect(() => sineCosine(1, 5)).toThrow(/needs an even width, got 5/)
  })
})

describe('routes', () => {
  it('part tokens by group, with their places, and join them again', () =>
    scope(() => {
      // Two samples of three groups on four locations; the second has none of group 1.
      const tokens = fromArray(BigInt64Array.from([9, 0, 5, 3, 11, 8, 2, 1], BigInt), [2, 4], 'int64')
      const routes = routeByGroup(tokens, { groups: 3, locations: 4 })
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

it('spreadPlan hides the same locations in every copy', () =>
  scope(() => {
    const plan = planFromNoise(tensor(wave(2 * 6, 1), [2, 6]), 2)
    const spread = spreadPlan(plan, 3)
    const one = numbers(maskOf(plan))
    const all = numbers(maskOf(spread))
    for (let b = 0; b < 2; b++)
      for (let c = 0; c < 3; c++)
        expect(all.slice(b * 18 + c * 6, b * 18 + c * 6 + 6)).toEqual(one.slice(b * 6, b * 6 + 6))
    // `restore` says where each token went.
    const sequence = numbers(spread.kept).slice(0, 6).concat(numbers(spread.hidden).slice(0, 12))
    const restore = numbers(spread.restore).slice(0, 18)
    expect(restore.map((place) => sequence[place])).toEqual(Array.from({ length: 18 }, (_, i) => i))
  }))
