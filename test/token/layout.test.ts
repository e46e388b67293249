import { expect, it } from 'vitest'
import { layoutInWords, layoutTokens, placeCount } from '../../src/token/layout.ts'

it.each([
  ['a plain image', { grid: { h: 3, w: 5 }, frames: 1, groups: 1 }, 15, 15],
  ['three dates', { grid: { h: 3, w: 5 }, frames: 3, groups: 1 }, 45, 45],
  ['two groups', { grid: { h: 3, w: 5 }, frames: 1, groups: 2 }, 15, 30],
  ['two groups of three dates', { grid: { h: 1, w: 4 }, frames: 3, groups: 2 }, 12, 24],
])('counts the places of a group and all tokens: %s', (_, layout, places, tokens) => {
  expect([placeCount(layout), layoutTokens(layout)]).toEqual([places, tokens])
})

it.each([
  [{ frames: 1, groups: 1 }, '3 × 4 patches'],
  [{ frames: 2, groups: 1 }, '3 × 4 patches of 2 dates'],
  [{ frames: 2, groups: 3 }, '3 × 4 patches of 2 dates in 3 groups of bands'],
])('in words: %j', (of, words) => expect(layoutInWords({ grid: { h: 3, w: 4 }, ...of })).toBe(words))
