import { describe, expect, it } from 'vitest'
import { draws } from '../../src/random/draws.ts'
import { cat, gather, toDtype } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, tensor, toFloats } from '../../src/tensor/tensor.ts'
import {
  decodePart,
  hiddenMask,
  hiddenRows,
  type MaskPlan,
  maskNoise,
  maskOf,
  planFromIndices,
  planFromMask,
  planFromNoise,
} from '../../src/token/mask.ts'
import { keptCount } from '../../src/token/mask-order.ts'
import { numbers, wave } from '../tolerance.ts'
import { addresses, maskConformance } from './mask-conformance.ts'

const random = (tokens: number, ratio: number) => ({
  tokens,
  kept: keptCount(tokens, ratio),
  plan: (seed: number, samples: Parameters<typeof maskNoise>[2]) =>
    planFromNoise(maskNoise(tokens, seed, samples), keptCount(tokens, ratio)),
})
maskConformance('random mask', random(196, 0.75))
maskConformance('random mask', random(256, 0.75))
maskConformance('random mask', random(15, 0.6))

describe('keptCount', () => {
  it.each([
    [196, 0.75, 49], // He et al. 2021: 147 of 196 are hidden
    [256, 0.75, 64], // and 192 of 256 under patches of side 14
    [64, 0.75, 16],
    [196, 0.6, 78], // 78.4
    [100, 0.9, 9], // 1 − 0.9 is 0.09999999999999998 in double precision, so 9 and not 10
    [10, 0.9, 0],
    [1568, 0.9, 156],
    [2, 0.5, 1],
    [16, 0.7, 4], // 4.8
  ])('of %d patches at ratio %d: %d', (tokens, ratio, kept) => {
    if (kept > 0) expect(keptCount(tokens, ratio)).toBe(kept)
    else expect(() => keptCount(tokens, ratio)).toThrow(`mask.ratio ${ratio} of ${tokens} patches keeps 0`)
  })

  it.each([0, 1, -0.5, 1.5, Number.NaN, 0.99])('refuses a ratio of %d for 64 patches', (ratio) =>
    expect(() => keptCount(64, ratio)).toThrow(
      expect.objectContaining({
        code: 'VALUE',
        message: expect.stringContaining('at least one patch must be kept and one hidden'),
      }),
    ),
  )
})

describe('planFromNoise', () => {
  it('by hand: keeps the lowest noise, in ascending order', () =>
    scope(() => {
      const plan = planFromNoise(tensor([0.4, 0.1, 0.3, 0.2, 0.9, 0.8, 0.6, 0.7], [2, 4]), 3)
      expect(numbers(plan.kept)).toEqual([1, 3, 2, 2, 3, 1])
      expect(numbers(plan.hidden)).toEqual([0, 0])
      // Patch 0 is last in the sequence 1 3 2 0, patch 1 first, patch 2 third, patch 3 second.
      expect(numbers(plan.restore)).toEqual([3, 0, 2, 1, 3, 2, 0, 1])
      expect(numbers(maskOf(plan))).toEqual([1, 0, 0, 0, 1, 0, 0, 0])
    }))

  it('keeps the lower patch number where noise is equal', () =>
    scope(() => {
      const ties = planFromNoise(tensor([0.5, 0.5, 0.1, 0.5, 0.1, 0.5], [1, 6]), 4)
      expect([numbers(ties.kept), numbers(ties.hidden)]).toEqual([
        [2, 4, 0, 1],
        [3, 5],
      ])
      const all = planFromNoise(tensor(Array(64).fill(0.5), [1, 64]), 16)
      expect(numbers(all.kept)).toEqual(Array.from({ length: 16 }, (_, n) => n))
    }))

  it.each([0, 4, 5, -1, 1.5, Number.NaN])('refuses to keep %d of 4', (kept) =>
    scope(() =>
      expect(() => planFromNoise(tensor([1, 2, 3, 4], [1, 4]), kept)).toThrow(
        `planFromNoise: expected 1 ≤ kept < N = 4, got ${kept}`,
      ),
    ),
  )

  it('refuses noise of another shape', () =>
    scope(() =>
      expect(() => planFromNoise(tensor([1, 2], [2]), 1)).toThrow('expected [B, N], got float32[2]'),
    ))
})

describe('planFromIndices', () => {
  it('by hand: restore is where each patch went in kept, then hidden', () =>
    scope(() => {
      const indices = (rows: readonly (readonly number[])[]) =>
        fromArray(BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length], 'int64')
      const kept = indices([
        [3, 0],
        [1, 2],
      ])
      const hidden = indices([
        [4, 1, 2],
        [0, 4, 3],
      ])
      const plan = planFromIndices(kept, hidden)
      expect([plan.kept, plan.hidden]).toEqual([kept, hidden])
      expect(numbers(plan.restore)).toEqual([1, 3, 4, 0, 2, /**/ 2, 0, 1, 4, 3])
    }))

  it('is the plan that the same order gives', () =>
    scope(() => {
      const plan = planFromNoise(tensor(wave(14), [2, 7]), 3)
      expect(numbers(planFromIndices(plan.kept, plan.hidden).restore)).toEqual(numbers(plan.restore))
    }))
})

describe('planFromMask', () => {
  it('hides what is true, both parts in row-major order', () =>
    scope(() => {
      const plan = planFromMask([
        [true, false, true, false],
        [0, 1, 1, 0],
      ])
      expect(numbers(plan.kept)).toEqual([1, 3, 0, 3])
      expect(numbers(plan.hidden)).toEqual([0, 2, 1, 2])
      expect(numbers(plan.restore)).toEqual([2, 0, 3, 1, 0, 2, 3, 1])
      expect(numbers(maskOf(plan))).toEqual([1, 0, 1, 0, 0, 1, 1, 0])
    }))

  it.each([
    [
      [
        [1, 0],
        [1, 0, 0],
      ],
      'SHAPE',
      'row 1 has 3 patches, and row 0 has 2',
    ],
    [[], 'SHAPE', 'at least one row with at least one patch'],
    [[[]], 'SHAPE', 'at least one row with at least one patch'],
    [[[0, 0]], 'VALUE', 'A mask hides none of 2 patches in 1 samples: expected some'],
    [
      [
        [1, 0],
        [1, 1],
      ],
      'VALUE',
      'A mask hides all 2 patches of sample 1: expected one that is seen',
    ],
    [[[-1, 0]], 'VALUE', 'A mask hides none of 2 patches'],
  ] as const)('refuses %j', (mask, code, message) =>
    scope(() =>
      expect(() => planFromMask(mask)).toThrow(
        expect.objectContaining({ code, message: expect.stringContaining(message) }),
      ),
    ),
  )
})

describe('a plan whose samples differ in counts', () => {
  /** Two are hidden, one is thrown; one of each; nothing is hidden or thrown. */
  const uneven = () =>
    planFromMask([
      [0, 1, -1, 1, 0],
      [-1, 0, 0, 1, 0],
      [0, 0, 0, 0, 0],
    ])

  it('is padded with patches of the same part, and says which are real', () =>
    scope(() => {
      const plan = uneven()
      expect([plan.kept, plan.hidden, plan.thrown!, plan.restore].map(({ shape }) => shape)).toEqual([
        [3, 5],
        [3, 2],
        [3, 1],
        [3, 5],
      ])
      expect(numbers(plan.kept)).toEqual([0, 4, 4, 4, 4, /**/ 1, 2, 4, 4, 4, /**/ 0, 1, 2, 3, 4])
      expect(numbers(plan.real!.kept)).toEqual([1, 1, 0, 0, 0, /**/ 1, 1, 1, 0, 0, /**/ 1, 1, 1, 1, 1])
      expect(numbers(plan.hidden).slice(0, 3)).toEqual([1, 3, /**/ 3])
      expect(numbers(plan.real!.hidden)).toEqual([1, 1, /**/ 1, 0, /**/ 0, 0])
      expect(numbers(plan.thrown!).slice(0, 2)).toEqual([2, 0])
      expect([plan.kept, plan.hidden, plan.thrown!, plan.restore].map(({ dtype }) => dtype)).toEqual(
        Array(4).fill('int64'),
      )
    }))

  it('restores each patch from its place in the padded sequence', () =>
    scope(() => {
      const plan = uneven()
      // kept takes places 0 to 4, hidden 5 and 6, thrown 7.
      expect(numbers(plan.restore)).toEqual([0, 5, 7, 6, 1, /**/ 7, 0, 1, 5, 2, /**/ 0, 1, 2, 3, 4])
      const sequence = cat([plan.kept, plan.hidden, plan.thrown!], 1)
      expect(numbers(gather(sequence, 1, plan.restore))).toEqual([
        0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4,
      ])
    }))

  it('says what is seen, what is hidden, and the rows of what is hidden', () =>
    scope(() => {
      const plan = uneven()
      expect(numbers(maskOf(plan))).toEqual([0, 1, 1, 1, 0, /**/ 1, 0, 0, 1, 0, /**/ 0, 0, 0, 0, 0])
      expect(numbers(hiddenMask(plan))).toEqual([0, 1, 0, 1, 0, /**/ 0, 0, 0, 1, 0, /**/ 0, 0, 0, 0, 0])
      expect(numbers(hiddenRows(plan))).toEqual([1, 3, 8])
    }))

  it('needs no padding where all hide as many', () =>
    scope(() => {
      const plan = planFromMask([
        [0, 1, -1],
        [1, -1, 0],
      ])
      expect(plan.real).toBeUndefined()
      expect([numbers(plan.kept), numbers(plan.hidden), numbers(plan.thrown!)]).toEqual([
        [0, 2],
        [1, 0],
        [2, 1],
      ])
      expect(numbers(hiddenRows(plan))).toEqual([1, 3])
    }))
})

describe('thrown patches of noise', () => {
  it('by hand: after the kept ones come the thrown, then the hidden', () =>
    scope(() => {
      const plan = planFromNoise(tensor([0.4, 0.1, 0.3, 0.2, 0.9], [1, 5]), 2, 1)
      expect([numbers(plan.kept), numbers(plan.thrown!), numbers(plan.hidden)]).toEqual([[1, 3], [2], [0, 4]])
      expect(numbers(plan.restore)).toEqual([2, 0, 4, 1, 3])
      expect(numbers(hiddenMask(plan))).toEqual([1, 0, 0, 0, 1])
    }))

  it.each([-1, 2, 0.5, Number.NaN])('refuses to throw %d of 2', (thrown) =>
    scope(() =>
      expect(() => planFromNoise(tensor([1, 2, 3, 4], [1, 4]), 2, thrown)).toThrow(
        `planFromNoise: expected 0 ≤ thrown < N − kept = 2, got ${thrown}`,
      ),
    ),
  )
})

describe('maskNoise', () => {
  it('is what the draws of each address fill, for any width and any seed', () => {
    const samples = { epochs: [0, 7, 2 ** 31 - 1], indices: [0, 12, 59_999] }
    for (const [tokens, seed] of [
      [1, 0],
      [7, 5],
      [64, 2 ** 53 - 1],
      [10, 2 ** 32],
    ] as const) {
      const rows = samples.epochs.flatMap((epoch, b) => [
        ...draws({ seed, stream: 'mask', epoch, index: samples.indices[b]! }).fill(new Float32Array(tokens)),
      ])
      expect(scope(() => numbers(maskNoise(tokens, seed, samples)))).toEqual(rows)
    }
  })

  it('is the draws of each sample’s own address', () =>
    scope(() => {
      const noise = maskNoise(6, 11, addresses([2, 5], [0, 9]))
      const row = (epoch: number, index: number) =>
        draws({ seed: 11, stream: 'mask', epoch, index }).fill(new Float32Array(6))
      expect(noise.shape).toEqual([2, 6])
      expect(numbers(noise)).toEqual([...row(2, 5), ...row(0, 9)])
    }))

  it('does not depend on how many patches there are', () =>
    scope(() => {
      const short = numbers(maskNoise(4, 1, addresses([0, 3])))
      expect(numbers(maskNoise(9, 1, addresses([0, 3]))).slice(0, 4)).toEqual(short)
    }))

  it('hides every patch equally often', () =>
    scope(() => {
      const [B, N, K] = [4000, 8, 2]
      const samples = {
        epochs: Array(B).fill(0) as number[],
        indices: Array.from({ length: B }, (_, i) => i),
      }
      const counts = Array(N).fill(0) as number[]
      for (const n of numbers(planFromNoise(maskNoise(N, 3, samples), K).kept)) counts[n]! += 1
      // Binomial around B · K / N = 1000: five standard deviations of √(1000 · 3/4).
      for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(750))
    }))
})

it('maskOf refuses what is no plan', () =>
  scope(() => {
    const one = fromArray(BigInt64Array.of(0n), [1], 'int64')
    expect(() => maskOf({ kept: one, hidden: one, restore: one })).toThrow(
      'maskOf: plan.restore: expected [B, N]',
    )
  }))

describe('decodePart', () => {
  const plan = () => planFromMask([[0, 1, 1, -1, 0, 1, 1, 1]])
  const orders = ({ kept, hidden, thrown, restore }: MaskPlan) =>
    [kept, hidden, thrown!, restore].map((part) => Array.from(toFloats(toDtype(part, 'float32'))))

  it('rebuilds the last ones, and throws those before them', () =>
    scope(() =>
      expect(orders(decodePart(plan(), 2))).toEqual([
        [0, 4], // seen
        [6, 7], // rebuilt
        [1, 2, 5, 3], // thrown, and what was thrown before
        [0, 4, 5, 7, 1, 6, 2, 3], // where each patch went
      ]),
    ))

  it('rebuilds those of lowest noise', () =>
    scope(() =>
      expect(orders(decodePart(plan(), 2, tensor([0.5, 0.1, 0.9, 0.8, 0.2], [1, 5])))).toEqual([
        [0, 4],
        [2, 7],
        [1, 6, 5, 3],
        [0, 4, 2, 7, 1, 6, 5, 3],
      ]),
    ))

  it('leaves a plan alone that hides no more', () =>
    scope(() => {
      const own = plan()
      expect(decodePart(own, 5)).toBe(own)
    }))

  it('where samples differ in counts padding comes last, and is no patch to rebuild', () =>
    scope(() => {
      const uneven = planFromMask([
        [0, 1, 1, 1],
        [0, 0, 0, 1],
      ])
      const noise = tensor([0.9, 0.8, 0.1, 0.9, 0.1, 0.2], [2, 3])
      const { hidden, real } = decodePart(uneven, 2, noise)
      expect(Array.from(toFloats(real!.hidden))).toEqual([1, 1, 1, 0])
      expect(Array.from(toFloats(toDtype(hidden, 'float32'))).slice(0, 3)).toEqual([3, 2, 3])
    }))
})
