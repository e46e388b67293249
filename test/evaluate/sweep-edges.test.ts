import { describe, expect, it } from 'vitest'
import type { Swept } from '../../src/evaluate/protocols.ts'
import { edgeWarnings } from '../../src/evaluate/sweep-edges.ts'

const sweep = (name: Swept['name'], heldOut: Readonly<Record<string, number>>, group = '') =>
  Object.entries(heldOut).map(([value, share]) => ({
    ...{ group, pooling: 'mean' as const, setting: value, heldOut: share },
    swept: { name, value: Number(value) },
  }))

describe('edgeWarnings', () => {
  it('says which values lie beyond the best, upwards and downwards', () => {
    const up = sweep('base rate', { 1: 0.5, 10: 0.6, 100: 0.7 })
    expect(edgeWarnings(up, [2], 50)).toEqual([
      'the best is the largest base rate that was tried (100), so a larger one may be better: try --rates 10,100,300,1000',
    ])
    const down = sweep('base rate', { 0.1: 0.7, 0.3: 0.6, 1: 0.5 }) // whole numbers come first
    expect(edgeWarnings(down, [1], 50)).toEqual([
      expect.stringMatching(/smallest base rate .* try --rates 0\.01,0\.03,0\.1,0\.3$/),
    ])
    const few = sweep('k', { 10: 0.7, 20: 0.6 }, '5 per class')
    expect(edgeWarnings(few, [0], 50)).toEqual([
      '5 per class: the best is the smallest k that was tried (10), so a smaller one may be better: try --neighbours 3,5,10,20',
    ])
  })

  it('is silent where the best lies inside, is matched elsewhere, stands alone, or has nothing beyond it', () => {
    expect(edgeWarnings(sweep('base rate', { 1: 0.5, 10: 0.8, 100: 0.7 }), [1], 50)).toEqual([])
    expect(edgeWarnings(sweep('base rate', { 1: 0.5, 10: 0.7, 100: 0.7 }), [2], 50)).toEqual([])
    expect(edgeWarnings(sweep('base rate', { 1: 0.5 }), [0], 50)).toEqual([])
    expect(edgeWarnings(sweep('k', { 1: 0.8, 5: 0.7 }), [0], 50)).toEqual([])
    expect(edgeWarnings(sweep('k', { 20: 0.7, 40: 0.8 }), [1], 50)).toEqual([]) // 80 neighbours of 50
    const unmeasured = sweep('k', { 5: 0.7, 10: 0.8 }).map((row) => ({ ...row, heldOut: null }))
    expect(edgeWarnings(unmeasured, [1], 50)).toEqual([])
  })

  it('looks at each group and each kind of features alone', () => {
    const rows = [
      ...sweep('base rate', { 1: 0.5, 10: 0.7 }, '1 %'),
      ...sweep('base rate', { 1: 0.5, 10: 0.8, 100: 0.6 }, '10 %'),
    ]
    expect(edgeWarnings(rows, [1, 3], 50)).toEqual([expect.stringMatching(/^1 %: the best is the largest/)])
    const cls = sweep('base rate', { 1: 0.9, 10: 0.9 }).map((row) => ({ ...row, pooling: 'cls' as const }))
    expect(edgeWarnings([...cls, ...sweep('base rate', { 1: 0.5, 10: 0.7 })], [3], 50)).toHaveLength(1)
  })
})
