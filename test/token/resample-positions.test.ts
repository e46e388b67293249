import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../src/package-root.ts'
import { autocast, backward, gradient, requireGradient } from '../../src/tensor/context.ts'
import { mul, reshape, sum } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import {
  type ResamplingName,
  resampleNumbers,
  resamplePositions,
  resamplingNames,
  resamplings,
  sideWeights,
} from '../../src/token/resample-positions.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'

const from = { h: 3, w: 2 }
const table = () => wave(18)

describe('sideWeights', () => {
  it.each<[ResamplingName, number[]]>([
    // Two places become three: source points −1/6, 1/2, 7/6.
    ['linear', [1, 0, 1 / 2, 1 / 2, 0, 1]],
    // The distances of −1/6 from −2 … 1 have the weights 11/6, 5/6, 1/6, 7/6; places before 0 are place 0.
    [
      'cubic',
      [1 - keys(7 / 6, -0.75), keys(7 / 6, -0.75), 1 / 2, 1 / 2, keys(7 / 6, -0.75), 1 - keys(7 / 6, -0.75)],
    ],
    ['cubic-antialias', antialiasedThree()],
  ])('of %s, by hand', (name, expected) => {
    expectClose(sideWeights(2, 3, resamplings[name]), expected, 1e-12)
  })

  it('of a shortened side: the mean of a triangle twice as wide', () => {
    // Four places become two: centres 1/2 and 5/2, distances 1/2 and 3/2 over a stretch of 2: 3/4 and 1/4.
    const weights = [3 / 4, 3 / 4, 1 / 4, 0].map((x) => x / (7 / 4))
    expectClose(
      sideWeights(4, 2, resamplings['linear-antialias']),
      [...weights, ...[...weights].reverse()],
      1e-12,
    )
    expectClose(sideWeights(4, 2, resamplings.linear), [1 / 2, 1 / 2, 0, 0, 0, 0, 1 / 2, 1 / 2], 1e-12)
  })

  it.each(resamplingNames)('of %s sum to one everywhere', (name) => {
    for (const [a, b] of [
      [1, 5],
      [6, 6],
      [7, 3],
      [3, 16],
      [37, 16],
    ] as const) {
      const weights = [...sideWeights(a, b, resamplings[name])]
      for (let i = 0; i < b; i++)
        expect(weights.slice(i * a, (i + 1) * a).reduce((x, y) => x + y)).toBeCloseTo(1, 12)
    }
  })
})

/** Keys' kernel between 1 and 2. */
function keys(x: number, a: number): number {
  return a * x ** 3 - 5 * a * x ** 2 + 8 * a * x - 4 * a
}
function antialiasedThree(): number[] {
  const near = (x: number) => 1.5 * x ** 3 - 2.5 * x ** 2 + 1 // a = −0.5
  const [own, other] = [near(1 / 6), keys(7 / 6, -0.5)]
  const edge = [own / (own + other), other / (own + other)]
  return [...edge, 1 / 2, 1 / 2, ...edge.reverse()]
}

describe('resamplePositions', () => {
  it.each(resamplingNames)('by %s gives the same by tensors, below autocast, too, and by numbers', (by) =>
    scope(() => {
      const change = { from, to: { h: 5, w: 7 }, by }
      const expected = resampleNumbers(Float32Array.from(table()), 3, change)
      const made = autocast({ device: 'cpu', dtype: 'bfloat16' }, () =>
        resamplePositions(tensor(table(), [6, 3]), change),
      )
      expect([made.shape, made.dtype]).toEqual([[35, 3], 'float32'])
      expectClose(made, expected, 1e-6)
    }),
  )

  it('leaves rows before the grid as they are, and a table of the very grid', () =>
    scope(() => {
      const x = tensor(wave(24), [8, 3])
      const made = resamplePositions(x, { from, to: { h: 4, w: 1 }, by: 'cubic' })
      expect(made.shape).toEqual([6, 3])
      expect(numbers(made).slice(0, 6)).toEqual(numbers(x).slice(0, 6))
      expect(resamplePositions(x, { from, to: from, by: 'cubic-offset' })).toBe(x)
      const few = tensor(wave(15), [5, 3])
      expect(() => resamplePositions(few, { from, to: { h: 4, w: 1 }, by: 'cubic' })).toThrow(
        'resamplePositions: a table of 5 rows has no grid of 3 × 2 places',
      )
    }))
})

describe('reference file', () => {
  const path = join(
    packageRoot(),
    '../shared/reference/self-distillation/self-distillation-operators.safetensors',
  )
  it.each<[string, ResamplingName, number[], number[]]>([
    ['offset-down', 'cubic-offset', [6, 6], [3, 3]],
    ['offset-up', 'cubic-offset', [6, 6], [9, 8]],
    ['size-down', 'cubic', [6, 6], [3, 3]],
    ['size-antialias-down', 'cubic-antialias', [6, 6], [3, 4]],
    ['size-antialias-up', 'cubic-antialias', [6, 6], [9, 8]],
    ['same-count-other-shape', 'cubic-offset', [6, 6], [4, 9]],
    ['base-not-square', 'cubic-offset', [4, 7], [6, 5]],
  ])('%s: values and gradients', (name, by, [fromH, fromW], [toH, toW]) =>
    scope(() => {
      const { tensors } = readSafetensors(path)
      const of = (key: string) => {
        const x = tensors.get(key)!
        return tensor(numbers(x), x.shape.slice(1))
      }
      const x = requireGradient(of(`input.positions.${name}.table`))
      const made = resamplePositions(x, {
        ...{ from: { h: fromH!, w: fromW! }, to: { h: toH!, w: toW! } },
        by,
      })
      expectClose(made, of(`expected.out.positions.${name}`), 1e-6)
      backward(sum(mul(reshape(made, made.shape), of(`input.positions.${name}.probe`))))
      expectClose(gradient(x)!, of(`expected.grad.positions.${name}.table`), 2e-6)
    }),
  )
})
