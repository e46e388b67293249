/** Masks that a function of the user draws. */
import { expect, it } from 'vitest'
import { weightsOf } from '../../src/model/parameters.ts'
import type { MaskFunction } from '../../src/objective/mask-chooser.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { draws } from '../../src/random/draws.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item } from '../../src/tensor/tensor.ts'
import { maskOf } from '../../src/token/mask.ts'
import { stirredParameters, tinyImages, tinyMae } from '../model/tiny-model.ts'
import { series, seriesValues, viewsOfValues } from '../model/tiny-series.ts'
import { addresses } from '../token/mask-conformance.ts'
import { numbers } from '../tolerance.ts'

/** The first row of the grid, and one place of the rest. */
const rowAndOne: MaskFunction = ({ h, w }, draw) => {
  const one = w + draw.below((h - 1) * w)
  return Array.from({ length: h * w }, (_, n) => n < w || n === one)
}
const at = (...indices: number[]) => ({
  seed: 5,
  samples: addresses(...indices.map((index) => [2, index] as const)),
})

it('hides what the function says, drawn at the address of each sample alone', () =>
  scope(() => {
    const objective = tinyMae({ mask: rowAndOne })
    const all = numbers(maskOf(objective.plan(at(3, 8))))
    for (const [b, index] of [3, 8].entries()) {
      const one = 5 + draws({ seed: 5, stream: 'mask/function', epoch: 2, index }).below(10)
      const expected = Array.from({ length: 15 }, (_, n) => Number(n < 5 || n === one))
      expect(all.slice(15 * b, 15 * b + 15)).toEqual(expected)
    }
  }))

it('tells the function the grid and the sample, and takes other counts for each', () =>
  noGrad(() =>
    scope(() => {
      const seen: unknown[] = []
      const objective = tinyMae({
        mask(grid, _, sample) {
          seen.push([grid, sample])
          return Array.from({ length: 15 }, (_, n) => (n <= sample.index ? 1 : n === 14 ? -1 : 0))
        },
      })
      const plan = objective.plan(at(2, 6))
      expect(seen).toEqual(
        [2, 6].map((index) => [
          { h: 3, w: 5 },
          { epoch: 2, index },
        ]),
      )
      expect([plan.kept.shape, plan.hidden.shape, plan.thrown!.shape]).toEqual([
        [2, 11],
        [2, 7],
        [2, 1],
      ])
      const batch = { image: viewOf(tinyImages(2)) }
      expect(objective.counts!(batch, plan)).toEqual({ pixels: 3 + 7 })
      const { parts } = objective.loss(weightsOf(stirredParameters(objective)), batch, plan)
      expect(Number.isFinite(item(parts.pixels!.mean))).toBe(true)
    }),
  ))

it('shares a mask of places between groups and dates, takes one of all tokens, and hides what has no data', () =>
  scope(() => {
    const halves = [1, 1, 1, 0, 0, 0]
    const shared = tinyMae({ ...series, mask: () => halves })
    expect(numbers(maskOf(shared.plan(at(0))))).toEqual(Array(4).fill(halves).flat())
    const each = Array.from({ length: 24 }, (_, n) => n % 3 === 0)
    expect(numbers(maskOf(tinyMae({ ...series, mask: () => each }).plan(at(0))))).toEqual(each.map(Number))
    const values = seriesValues(1)
    values.fill(Number.NaN, values.length / 2) // the second date
    const plan = shared.plan(at(0), { image: viewsOfValues(1, values) })
    expect(numbers(maskOf(plan))).toEqual([...halves, 1, 1, 1, 1, 1, 1, ...halves, 1, 1, 1, 1, 1, 1])
  }))

it.each<[string, ReturnType<MaskFunction>, string]>([
  [
    'a wrong length',
    [1, 0, 1],
    'The mask of sample 4 in epoch 2 has 3 values: expected 15, one for each of 3 × 5 patches',
  ],
  ['all hidden', Array(15).fill(1), 'hides all patches: expected one that is seen'],
  ['none hidden', Array(15).fill(false), 'hides none: expected one patch or more'],
  ['another value', [0.5, ...Array(14).fill(0)], 'has the value 0.5: expected 1 (hidden), 0 (seen) or −1'],
])('refuses %s', (_, mask, message) =>
  scope(() =>
    expect(() => tinyMae({ mask: () => mask }).plan(at(4))).toThrow(
      expect.objectContaining({ code: 'VALUE', message: expect.stringContaining(message) as string }),
    ),
  ),
)
