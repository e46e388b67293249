// Masks from weights of the patches, on small grids by hand; the published codes' numbers are in test/verify/mask-rules.test.ts.
import { describe, expect, it } from 'vitest'
import { scope } from '../../src/tensor/scope.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import {
  amtCounts,
  attMask,
  attMaskCounts,
  hardPatches,
  hintCounts,
  keepSalient,
  maskSome,
  predictOrThrow,
  samplingOrder,
} from '../../src/token/mask-rules.ts'
import { numbers } from '../tolerance.ts'

const row = (...values: number[]) => tensor(values, [1, values.length])
const made = (body: () => Tensor): number[] => scope(() => numbers(body()))

describe('AttMask', () => {
  const attention = () => row(0.1, 0.4, 0.2, 0.05, 0.25, 0)
  const race = () => row(3, 2, 1, 1, 0.5, 1)
  const way = (way: 'high' | 'low' | 'hint', ratio: number, showMax = 0.1) =>
    made(() => attMask(attention(), { way, ratio, showMax }, race()))

  it('hides the most or the least attended', () => {
    expect(way('high', 0.5)).toEqual([0, 1, 1, 0, 1, 0])
    expect(way('low', 0.5)).toEqual([1, 0, 0, 1, 0, 1])
    expect(way('high', 0.6)).toEqual(way('high', 0.5)) // ⌊3.6⌋
  })

  it('hides patches of lower number where attention is equal', () => {
    const equal = (way: 'high' | 'low') =>
      made(() => attMask(row(1, 1, 1, 1), { way, ratio: 0.5, showMax: 0.1 }, row(1, 1, 1, 1)))
    expect([equal('high'), equal('low')]).toEqual([
      [1, 1, 0, 0],
      [1, 1, 0, 0],
    ])
  })

  it('shows a hint again: one of the three most attended, that of the shortest race', () => {
    // ⌊0.5 · 6⌋ = 3 candidates, patches 1, 4, 2; ⌊0.5 · 0.5 · 6⌋ = 1 is shown: patch 4.
    expect(hintCounts(6, { ratio: 0.5, showMax: 0.5 })).toEqual({ among: 3, shown: 1 })
    expect(way('hint', 0.5, 0.5)).toEqual([0, 1, 1, 0, 0, 0])
    expect(attMaskCounts(6, { way: 'hint', ratio: 0.5, showMax: 0.5 })).toEqual({ hidden: 2, thrown: 0 })
  })

  it('shows no hint in a small grid, where its count is 0', () => {
    expect(hintCounts(16, { ratio: 0.4, showMax: 0.1 })).toEqual({ among: 1, shown: 0 })
    expect(way('hint', 0.5, 0.1)).toEqual(way('high', 0.5))
  })

  it('leaves samples above the gate unmasked, and masks at the very probability', () => {
    const gate = () => tensor([0.2, 0.5, 0.51], [3])
    expect(made(() => maskSome(tensor([1, 0, 0, 1, 1, 1], [3, 2]), gate(), 0.5))).toEqual([1, 0, 0, 1, 0, 0])
  })
})

describe('sampling without replacement', () => {
  // weights / race: 2, 0.5, 0, 4, 3, 0, 1, 0.1
  const order = () => samplingOrder(row(2, 1, 0, 4, 3, 0, 1, 1), row(1, 2, 5, 1, 1, 1, 1, 10))

  it('is the order of falling weight over race, patches without weight last', () => {
    expect(made(order)).toEqual([3, 4, 0, 6, 1, 7, 2, 5])
  })

  it('MILAN sees the first', () => {
    expect(made(() => keepSalient(order(), 0.75))).toEqual([1, 1, 1, 0, 0, 1, 1, 1])
    expect(made(() => keepSalient(order(), 0.7))).toEqual(made(() => keepSalient(order(), 0.75))) // ⌊2.4⌋
  })

  it('AMT predicts the first, throws the next and sees the rest', () => {
    // ⌊8 · 0.45⌋ = 3 are predicted, ⌊8 · 0.85⌋ − 3 = 3 thrown.
    expect(amtCounts(8, { ratio: 0.45, throwRatio: 0.4 })).toEqual({ hidden: 3, thrown: 3 })
    expect(made(() => predictOrThrow(order(), { ratio: 0.45, throwRatio: 0.4 }))).toEqual([
      1, -1, 0, 1, 1, 0, -1, -1,
    ])
  })
})

describe('hard patches', () => {
  const losses = () => row(0.1, 0.9, 0.3, 0.8, 0.2, 0.7)
  const noise = () => row(0.9, 0.5, 0.1, 0.6, 0.2, 0.3)
  const hide = (hardest: number, hidden: number) =>
    made(() => hardPatches(losses(), noise(), { hardest, hidden }))

  it('hides the hardest, and the others by noise', () => {
    expect(hide(2, 4)).toEqual([1, 1, 0, 1, 0, 1])
    expect(hide(4, 4)).toEqual([0, 1, 1, 1, 0, 1])
  })

  it('is random while none is to be hard', () => {
    expect(hide(0, 4)).toEqual([1, 1, 0, 1, 0, 1])
  })
})
