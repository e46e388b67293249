import { describe, expect, it } from 'vitest'
import { openBackbone } from '../../../src/model/backbone.ts'
import { plainBackbone } from '../../../src/model/backbone-shape.ts'
import { mixMaps } from '../../../src/model/decoder/cross-attention.ts'
import { openDecoder } from '../../../src/model/decoder/decoders.ts'
import type { CrossAttentionDimensions } from '../../../src/model/dimensions.ts'
import { weightsOf } from '../../../src/model/parameters.ts'
import { mae } from '../../../src/objective/mae.ts'
import { viewOf } from '../../../src/prepare/view.ts'
import { clearGradients, gradient, noGrad } from '../../../src/tensor/context.ts'
import { mul, narrow, sum } from '../../../src/tensor/ops.ts'
import { backwardRecomputing, withRecompute } from '../../../src/tensor/recompute.ts'
import { liveTensors, scope } from '../../../src/tensor/scope.ts'
import { type Tensor, tensor } from '../../../src/tensor/tensor.ts'
import { planFromNoise } from '../../../src/token/mask.ts'
import { clsPrefix } from '../../../src/token/prefix.ts'
import { take } from '../../../src/token/take.ts'
import { expectClose, numbers, wave } from '../../tolerance.ts'
import { stirredParameters, tiny, tinyImages } from '../tiny-model.ts'

const [B, N, K] = [2, 15, 6]
const own: CrossAttentionDimensions = {
  ...{ kind: 'cross-attention', width: 16, depth: 3, heads: 2 },
  ...{ featureMaps: null, useInput: true },
}
const decoderOf = (options: Partial<CrossAttentionDimensions> = {}) =>
  openDecoder({ ...own, ...options }, { shape: plainBackbone(tiny), device: 'cpu' })
const decoder = decoderOf()
const parameters = stirredParameters(decoder)
const weights = weightsOf(parameters)
const tokens = (seed: number) => tensor(wave(B * (1 + K) * 24, seed), [B, 1 + K, 24])
const make = (first = tokens(4)) => ({
  encoded: { sequence: tokens(3), prefix: clsPrefix, taps: [first, tokens(5), tokens(6)] },
  plan: planFromNoise(tensor(wave(B * N, 5), [B, N]), K),
  view: { times: null, resolution: null },
})
const pictured = <T>(body: () => T): T => noGrad(() => scope(body))

it('mixes every map into what each block reads', () =>
  pictured(() => {
    const maps = [1, 2].map((value) => tensor(Array(8).fill(value), [1, 2, 4]))
    const mixed = mixMaps(maps, tensor([1, 1, 10, 0, -1, 0.5], [3, 2]))
    expect(mixed.shape).toEqual([3, 1, 2, 4])
    expect(numbers(mixed)).toEqual([...Array(8).fill(3), ...Array(8).fill(10), ...Array(8).fill(0)])
  }))

describe('its tokens', () => {
  it('are predicted each by itself: a part of them is as in the whole', () =>
    pictured(() => {
      const input = make()
      const hidden = decoder.decode(input, weights, 'hidden')
      expect(hidden.shape).toEqual([B, N - K, 16])
      const part = { ...input.plan, hidden: narrow(input.plan.hidden, 1, 2, 3) }
      expectClose(decoder.decode({ ...input, plan: part }, weights, 'hidden'), narrow(hidden, 1, 2, 3), 2e-6)
      const all = decoder.decode(input, weights, 'all')
      expect(all.shape).toEqual([B, N, 16])
      expectClose(hidden, take(all, input.plan.hidden), 2e-6)
    }))

  it('look at cls and every kept token of every map, of their own sample', () =>
    pictured(() => {
      const before = numbers(decoder.decode(make(), weights, 'hidden'))
      for (let token = 0; token <= K; token++) {
        const changed = wave(B * (1 + K) * 24, 4)
        changed[token * 24]! += 1 // in the first image
        const first = tensor(changed, [B, 1 + K, 24])
        const after = numbers(decoder.decode(make(first), weights, 'hidden'))
        const half = before.length / 2
        expect(after.slice(0, half)).not.toEqual(before.slice(0, half))
        expect(after.slice(half)).toEqual(before.slice(half))
      }
    }))
})

it('has the gradients of all parameters and maps, computed again bit for bit', () => {
  const gradients = (recompute: boolean) => {
    clearGradients(parameters.values())
    scope(() => {
      const loss = () => {
        const features = decoder.decode(make(), weights, 'hidden')
        return sum(mul(features, tensor(wave(B * (N - K) * 16, 8), [B, N - K, 16])))
      }
      return recompute ? withRecompute(() => backwardRecomputing([loss()])) : backwardRecomputing([loss()])
    })
    return scope(() => [...parameters.values()].map((each) => numbers(gradient(each)!)))
  }
  const before = liveTensors()
  const plain = gradients(false)
  expect(plain.every((each) => each.some((x) => x !== 0))).toBe(true)
  expect(gradients(true)).toEqual(plain)
  expect(liveTensors() - before).toBe(0)
})

describe('what it reads of the encoder', () => {
  const tapsOf = (options: Partial<CrossAttentionDimensions>) =>
    decoderOf(options).taps?.map(({ block }) => block)

  it('the input and all blocks, chosen ones, or the final norm', () => {
    expect(tapsOf({})).toEqual([-1, 0, 1])
    expect(tapsOf({ useInput: false })).toEqual([0, 1])
    expect(tapsOf({ featureMaps: [1] })).toEqual([-1, 1])
    expect(tapsOf({ featureMaps: [], useInput: false })).toBeUndefined()
  })

  it.each<[string, Partial<CrossAttentionDimensions>]>([
    ['a block that is not there', { featureMaps: [0, 2] }],
    ['not the last block', { featureMaps: [0] }],
    ['a block twice', { featureMaps: [1, 1] }],
    ['the input alone', { featureMaps: [] }],
  ])('refuses %s', (_, options) =>
    expect(() => decoderOf(options)).toThrow(/decoder\.(featureMaps|useInput)/),
  )

  const objectiveOf = (options: Partial<CrossAttentionDimensions>) =>
    mae({ dimensions: tiny, decoder: { ...own, ...options }, maskRatio: 0.6, device: 'cpu' })

  it('with maps the final norm of the encoder stays as it begins, without them it learns', () => {
    const normOf = (options: Partial<CrossAttentionDimensions>) =>
      objectiveOf(options)
        .rows.filter(({ name }) => name.startsWith('norm.'))
        .map(({ role = 'learned', initial }) => [role, initial])
    expect(normOf({})).toEqual([
      ['fixed', 'ones'],
      ['fixed', 'zeros'],
    ])
    expect(normOf({ featureMaps: [], useInput: false }).map(([role]) => role)).toEqual(['learned', 'learned'])
  })

  it('without maps every block reads the final norm', () =>
    pictured(() => {
      const objective = objectiveOf({ featureMaps: [], useInput: false })
      expect(objective.rows.some(({ name }) => /^(wfm|dec_norms)/.test(name))).toBe(false)
      const stirred = stirredParameters(objective)
      const image = viewOf(tinyImages(B))
      const plan = planFromNoise(tensor(wave(B * N, 5), [B, N]), K)
      const backbone = openBackbone(plainBackbone(tiny), 'cpu')
      const { latent } = objective.predict(weightsOf(stirred), image, plan)
      const encoded: { sequence: Tensor } = backbone.encodeKept(
        backbone.cut(image),
        plan.kept,
        weightsOf(stirred),
      )
      expectClose(latent, encoded.sequence, 1e-6)
    }))
})
