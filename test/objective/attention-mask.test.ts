// Masks that follow attention: of a teacher that is made up here, by hand; of the encoder itself; and one pass for mask and target.
import { describe, expect, it } from 'vitest'
import { patchAttention } from '../../src/model/attention-rows.ts'
import { openBackbone } from '../../src/model/backbone.ts'
import { layoutOf, plainBackbone } from '../../src/model/backbone-shape.ts'
import { initialParameters, weightsOf } from '../../src/model/parameters.ts'
import { type AttentionMaskOptions, chooseByAttention } from '../../src/objective/attention-mask.ts'
import { mae } from '../../src/objective/mae.ts'
import { maskTokens } from '../../src/objective/mask-tokens.ts'
import type { MaskedOptions } from '../../src/objective/masked.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { predictFeatures } from '../../src/target/features.ts'
import type { FrozenModel } from '../../src/target/frozen-model.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, tensor } from '../../src/tensor/tensor.ts'
import { hiddenMask, type MaskPlan, maskOf } from '../../src/token/mask.ts'
import { attMask, keepSalient, samplingOrder } from '../../src/token/mask-rules.ts'
import { stirredParameters, tiny, tinyDecoder, tinyImages } from '../model/tiny-model.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'

const N = 15
const W = 4
const layout = layoutOf(plainBackbone(tiny))
/** Attends to the last patches of the first image most, and to the first ones of the second. */
const attention = [...Array(N).keys(), ...[...Array(N).keys()].reverse()].map((x) => (x + 1) / 120)

function teacherOf(over: Partial<FrozenModel> = {}) {
  const passes = { attention: 0, features: 0 }
  const features = (blocks: readonly number[] | null) =>
    (blocks ?? [1]).map((block) => tensor(wave(2 * N * W, block), [2, N, W]))
  const model: FrozenModel = {
    ...{ hash: 'of none', width: W, depth: 2, imageSize: tiny.imageSize, layout },
    features(_, blocks) {
      passes.features++
      return features(blocks)
    },
    attention(_, also) {
      passes.attention++
      return { attention: tensor(attention, [2, N]), features: also ? features(also.blocks) : [] }
    },
    ...over,
  }
  return { passes, model }
}

const usual: Omit<AttentionMaskOptions, 'rule' | 'teacher'> = {
  ...{ maskingProb: 1, showMax: 0.2, throwRatio: 0.4, fromEpoch: 0, ratioBefore: 0.75 },
}
const optionsOf = (given: Partial<AttentionMaskOptions>, over: Partial<MaskedOptions> = {}) => ({
  ...{ dimensions: tiny, decoder: tinyDecoder, maskRatio: 0.4, device: 'cpu' as const },
  chooser: chooseByAttention({
    ...{ ...usual, rule: 'attmask-high', teacher: () => teacherOf().model },
    ...given,
  }),
  ...over,
})
const at = (indices: readonly number[] = [0, 1], epoch = 0) => ({
  ...{ seed: 3, epoch, samples: { epochs: indices.map(() => epoch), indices } },
})
const image = () => viewOf(tinyImages(2))
const planned = <T>(given: Partial<AttentionMaskOptions>, read: (plan: MaskPlan) => T, when = at()): T =>
  noGrad(() => scope(() => read(mae(optionsOf(given)).plan(when, { image: image() }))))
const rowsOf = (x: readonly number[]) => [x.slice(0, N), x.slice(N)]
const places = (row: readonly number[], value = 1) => row.flatMap((x, n) => (x === value ? [n] : []))

describe('of a teacher', () => {
  it.each([
    [
      'attmask-high',
      [
        [9, 10, 11, 12, 13, 14],
        [0, 1, 2, 3, 4, 5],
      ],
    ],
    [
      'attmask-low',
      [
        [0, 1, 2, 3, 4, 5],
        [9, 10, 11, 12, 13, 14],
      ],
    ],
  ] as const)('%s hides ⌊15 · 0.4⌋ by attention', (rule, wanted) => {
    const masks = planned({ rule }, (plan) => rowsOf(numbers(maskOf(plan))).map((row) => places(row)))
    expect(masks).toEqual(wanted)
  })

  it('hint shows one of the three most attended, drawn at the address of the sample', () => {
    // ⌊0.2 · 15⌋ = 3 candidates, ⌊0.2 · 0.4 · 15⌋ = 1 of them.
    const shown = (when: ReturnType<typeof at>) =>
      planned({ rule: 'attmask-hint' }, (plan) => rowsOf(numbers(maskOf(plan))), when).map((row, b) =>
        (b === 0 ? [9, 10, 11, 12, 13, 14] : [0, 1, 2, 3, 4, 5]).filter((n) => row[n] === 0),
      )
    const all = Array.from({ length: 8 }, (_, i) => shown(at([i, i + 8])))
    for (const [first, second] of all) {
      expect([first!.length, second!.length]).toEqual([1, 1])
      expect([12, 13, 14]).toContain(first![0])
      expect([0, 1, 2]).toContain(second![0])
    }
    expect(new Set(all.flat(2)).size).toBeGreaterThan(2)
    expect(shown(at())).toEqual(shown(at()))
  })

  it('AMT has three states, and before its epoch masks are random', () => {
    const [throws, before] = [0, 1].map((fromEpoch) =>
      planned({ rule: 'amt', fromEpoch, throwRatio: 0.2 }, ({ kept, hidden, thrown }) =>
        [kept, hidden, thrown].map((x) => x?.shape),
      ),
    )
    expect(throws).toEqual([
      [2, 6],
      [2, 6],
      [2, 3],
    ]) // ⌊15 · 0.4⌋, ⌊15 · 0.6⌋ − 6
    expect(before).toEqual([[2, 3], [2, 12], undefined]) // ⌊15 · 0.25⌋
    const random = mae({ dimensions: tiny, decoder: tinyDecoder, maskRatio: 0.75, device: 'cpu' })
    const noise = scope(() => numbers(random.plan(at()).kept))
    expect(planned({ rule: 'amt', fromEpoch: 1, throwRatio: 0.2 }, ({ kept }) => numbers(kept))).toEqual(
      noise,
    )
    const later = planned(
      { rule: 'amt', fromEpoch: 1, throwRatio: 0.2 },
      ({ hidden }) => hidden.shape,
      at([0, 1], 1),
    )
    expect(later).toEqual([2, 6])
  })

  it('leaves samples unmasked at random, and takes a micro-batch of none of them for a loss of 0', () => {
    const hiddenBy = (indices: readonly number[]) =>
      planned(
        { maskingProb: 0.5 },
        (plan) => rowsOf(numbers(hiddenMask(plan))).map((row) => places(row).length),
        at(indices),
      )
    const all = Array.from({ length: 20 }, (_, i) => hiddenBy([2 * i, 2 * i + 1]))
    expect(new Set(all.flat())).toEqual(new Set([0, 6]))
    const none = all.findIndex(([a, b]) => a === 0 && b === 0)
    expect(none).toBeGreaterThanOrEqual(0)
    const objective = mae(optionsOf({ maskingProb: 0.5 }))
    const weights = weightsOf(initialParameters(objective.rows, { seed: 1, device: 'cpu' }))
    scope(() => {
      const batch = { image: image() }
      const plan = noGrad(() => objective.plan(at([2 * none, 2 * none + 1]), batch))
      expect(item(objective.loss(weights, batch, plan).parts.pixels!.mean)).toBe(0)
      expect(objective.counts!(batch, plan)).toEqual({ pixels: 0 })
    })
  })

  it('is asked once for mask and target, with the loss of two passes', () => {
    const lossOf = (isShared: boolean) => {
      const [one, other] = [teacherOf(), teacherOf()]
      const target = predictFeatures(() => (isShared ? one : other).model, {
        ...{ width: W, layers: [0, 1], layerNorm: true, norm: false, resample: false, loss: 'mse', beta: 1 },
      })
      const objective = mae(optionsOf({ rule: 'milan', teacher: () => one.model }, { target }))
      expect(objective.isPlanOfWeights).toBeUndefined()
      expect(Object.keys(objective.frozen!)).toEqual(['target.model', 'mask.model'])
      const weights = weightsOf(stirredParameters(objective))
      const loss = scope(() => {
        const batch = { image: image() }
        const plan = noGrad(() => objective.plan(at(), batch))
        expect(plan.hidden.shape).toEqual([2, 6])
        return item(objective.loss(weights, batch, plan).parts.features!.mean)
      })
      return { loss, passes: [one.passes, other.passes] }
    }
    const [shared, apart] = [lossOf(true), lossOf(false)]
    expect(shared.loss).toBe(apart.loss)
    expect(shared.passes[0]).toEqual({ attention: 1, features: 0 })
    expect(apart.passes).toEqual([
      { attention: 1, features: 0 },
      { attention: 0, features: 1 },
    ])
  })
})

it('of the encoder itself is that of its weights on the whole image, without gradient', () => {
  const make = () => maskTokens(optionsOf({ rule: 'attmask-high', teacher: null }))
  const objective = make()
  expect(objective.isPlanOfWeights).toBe(true)
  expect(objective.frozen).toBeUndefined()
  const maskBy = (seed: number) =>
    scope(() => {
      const weights = weightsOf(stirredParameters(objective, seed))
      const plan = objective.plan(at(), { image: image() }, weights)
      const own = patchAttention(tiny)
      const backbone = openBackbone(plainBackbone(tiny), 'cpu')
      const { taps } = noGrad(() => backbone.encodeAll(image(), weights, { taps: [own.tap] }))
      const shares = own.read(taps[0]!)
      const wanted = attMask(shares, { way: 'high', ratio: 0.4, showMax: 0.1 }, shares)
      expect(numbers(maskOf(plan))).toEqual(numbers(wanted))
      return numbers(wanted)
    })
  expect(maskBy(1)).not.toEqual(maskBy(2))
})

it('MILAN samples in proportion to attention', () => {
  // Of 400 draws of one patch to see, the most attended of 15 is seen 15 / 120 of the time.
  const one = Array.from({ length: 400 }, (_, i) => i)
  const objective = mae(
    optionsOf(
      {
        rule: 'milan',
        teacher: () =>
          teacherOf({
            attention: () => ({
              attention: tensor(
                one.flatMap(() => attention.slice(0, N)),
                [400, N],
              ),
              features: [],
            }),
          }).model,
      },
      { maskRatio: 0.93 },
    ),
  )
  const seen = scope(() => numbers(objective.plan(at(one), { image: viewOf(tinyImages(400)) }).kept))
  expect(seen.length).toBe(400)
  const mean = seen.reduce((a, b) => a + b, 0) / 400
  // Σ n (n + 1) / 120 over 0 … 14, of deviation 3.3 / √400.
  expectClose([mean], [(14 * 15 * 16) / 3 / 120], 0.6)
  expect(
    scope(() => numbers(keepSalient(samplingOrder(tensor([1, 2], [1, 2]), tensor([1, 1], [1, 2])), 0.5))),
  ).toEqual([1, 0])
})

describe('is refused', () => {
  it.each<[string, RegExp, Partial<AttentionMaskOptions>, Partial<MaskedOptions>]>([
    [
      'shares that leave nothing to see',
      /mask.ratio 0.6 and mask.throwRatio 0.4 leave nothing to see/,
      { rule: 'amt' },
      { maskRatio: 0.6 },
    ],
    [
      'a share to show of no patch',
      /mask.showMax 0.05 of 15 patches is none.*0.0667/,
      { rule: 'attmask-hint', showMax: 0.05 },
      {},
    ],
    [
      'more to show than is hidden',
      /mask.showMax is 0.5, and mask.ratio 0.4/,
      { rule: 'attmask-hint', showMax: 0.5 },
      {},
    ],
    ['a ratio that hides nothing', /mask.ratio 0.05 of 15 patches hides 0/, {}, { maskRatio: 0.05 }],
    [
      'a ratio that hides all',
      /mask.ratio 0.99 of 15 patches hides 15/,
      { rule: 'milan' },
      { maskRatio: 0.99 },
    ],
  ])('%s', (_, message, given, over) => expect(() => mae(optionsOf(given, over))).toThrow(message))

  it('a teacher of another grid', () => {
    const other = teacherOf({ layout: { ...layout, grid: { h: 4, w: 5 } } }).model
    expect(() => planned({ teacher: () => other }, () => 0)).toThrow(
      /mask.model: the teacher has 4 × 5 patches/,
    )
  })

  it('a plan without the image, or without the weights that choose', () => {
    expect(() => scope(() => mae(optionsOf({})).plan(at()))).toThrow(/follow the pixels and the weights/)
    const own = () => scope(() => mae(optionsOf({ teacher: null })).plan(at(), { image: image() }))
    expect(own).toThrow(/follow the pixels and the weights/)
  })
})
