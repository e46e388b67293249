import { describe, expect, it } from 'vitest'
import { type GroupRow, groupsAt } from '../../src/optim/groups.ts'

const shapes = {
  'stem.weight': [4, 2],
  'stem.bias': [4],
  'head.last.weight': [3, 4],
  'head.bias': [3],
  cls: [1, 1, 4],
}
const at = (rows: readonly GroupRow[], step = 0, epoch = 0) =>
  groupsAt(
    Object.entries(shapes).map(([name, shape]) => [name, { shape }] as const),
    rows,
    { step, epoch, learningRate: 8, weightDecay: 0.5 },
  )
const rates = (rows: readonly GroupRow[], step?: number, epoch?: number) => {
  const { ratesOf } = at(rows, step, epoch)
  return Object.keys(shapes).map((name) => [ratesOf(name).rate, ratesOf(name).decay])
}

describe('groupsAt', () => {
  it('without rows: one rate, and no decay below two dimensions', () =>
    expect(rates([])).toEqual([
      [8, 0.5],
      [8, 0],
      [8, 0.5],
      [8, 0],
      [8, 0.5],
    ]))

  it('each field comes from the first row that matches and sets it', () =>
    expect(
      rates([
        { match: /^stem\./, rate: 0.5 },
        { match: /\.weight$/, rate: 0.25, decay: 2 },
        { match: (name) => name.startsWith('head'), rate: (name) => name.length, decay: 1 },
      ]),
    ).toEqual([
      [4, 1], // rate of the first row, decay of the second
      [4, 0], // no row sets a decay: a vector's
      [2, 1],
      [8 * 'head.bias'.length, 0.5], // a vector that a row lets decay
      [8, 0.5],
    ]))

  it('an expression with a flag that remembers matches all the same', () =>
    expect(rates([{ match: /bias/g, rate: 0 }]).map(([rate]) => rate)).toEqual([8, 0, 8, 0, 8]))

  it('freezes until an update or an epoch, for ever, or not any more', () => {
    const rows: GroupRow[] = [
      { match: /^head\.last/, frozenUntil: { epochs: 1 } },
      { match: /^head/, frozenUntil: 3, frozen: 'zero-rate' },
      { match: /^cls$/, frozenUntil: Number.POSITIVE_INFINITY },
    ]
    const frozen = (step: number, epoch: number) => {
      const { frozen, ratesOf } = at(rows, step, epoch)
      return [[...frozen], Object.keys(shapes).map((name) => ratesOf(name).rate)]
    }
    // `head.last` freezes as the second row says how and the first until when.
    expect(frozen(2, 0.99)).toEqual([['cls'], [8, 8, 0, 0, 0]])
    expect(frozen(3, 0.99)).toEqual([['cls'], [8, 8, 0, 8, 0]])
    expect(frozen(4, 1)).toEqual([['cls'], [8, 8, 8, 8, 0]])
    expect(at([{ match: /^cls$/, frozen: 'no-gradient' }], 1e9, 1e9).frozen).toEqual(new Set(['cls']))
    expect(at([{ match: /^cls$/, frozenUntil: 0, frozen: 'no-gradient' }]).frozen.size).toBe(0)
  })

  it('clips by the row that a rule comes from', () => {
    const [most, rest] = [{ by: 'row', most: 3 } as const, { by: 'tensor', most: 1 } as const]
    expect(
      at([
        { match: /^stem\./, clip: most },
        { match: /\.(weight|bias)$/, clip: rest },
      ]).clippings,
    ).toEqual([
      { clip: most, names: ['stem.weight', 'stem.bias'] },
      { clip: rest, names: ['head.last.weight', 'head.bias'] },
    ])
  })
})
