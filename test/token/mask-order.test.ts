import { expect, it } from 'vitest'
import { toArray } from '../../src/tensor/tensor.ts'
import { maskNoise, planFromNoise } from '../../src/token/mask.ts'
import { keptCount, maskOrder } from '../../src/token/mask-order.ts'

it('is the row of the plan that LibTorch makes', () => {
  for (const [tokens, ratio] of [
    [64, 0.75],
    [196, 0.6],
    [5, 0.5],
  ] as const)
    for (const index of [0, 1, 7]) {
      const seed = 2 ** 40 + 3
      const noise = maskNoise(tokens, seed, { epochs: [2], indices: [index] })
      const plan = planFromNoise(noise, keptCount(tokens, ratio))
      const { kept, hidden } = maskOrder(tokens, ratio, { seed, epoch: 2, index })
      expect(kept).toEqual(Array.from(toArray(plan.kept), Number))
      expect(hidden).toEqual(Array.from(toArray(plan.hidden), Number))
    }
})

it('refuses a ratio that leaves nothing to see', () => {
  expect(() => maskOrder(4, 0.9, { seed: 0, epoch: 0, index: 0 })).toThrow('mask.ratio 0.9 of 4 patches')
})
