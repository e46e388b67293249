// Every option of an encoder, alone and together, in every way to compute it: kernels, precision, recomputation, masks, taps.
import { describe, expect, it } from 'vitest'
import { openBackbone } from '../../src/model/backbone.ts'
import { type BackboneShape, plainBackbone } from '../../src/model/backbone-shape.ts'
import type { Tap } from '../../src/model/block.ts'
import type { EncoderVariant } from '../../src/model/dimensions.ts'
import { finalNorm } from '../../src/model/encoder.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { rotaryPeriods } from '../../src/model/rotary-position.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { callInPlace } from '../../src/tensor/call.ts'
import { autocast, clearGradients, gradient, noGrad } from '../../src/tensor/context.ts'
import { type Kernels, withKernels } from '../../src/tensor/fused.ts'
import { add, mul, sum, toDtype } from '../../src/tensor/ops.ts'
import { backwardRecomputing, withRecompute } from '../../src/tensor/recompute.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { fromArray, item, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { clsPrefix, patchesOf, prefixLength } from '../../src/token/prefix.ts'
import { take } from '../../src/token/take.ts'
import { expectClose, numbers, product, wave } from '../tolerance.ts'
import { stirredParameters, tiny, tinyImages } from './tiny-model.ts'

const grid = { h: 3, w: 5 }
const registers = { name: 'register_tokens', kind: 'register', count: 3, positioned: false } as const
const layerScale = { initial: 0.5 }
const relative = (tables: 'shared' | 'per-block' | 'both', of = grid): EncoderVariant => ({
  relativePositions: { tables, grid: of },
})
const variants: Readonly<Record<string, EncoderVariant>> = {
  plain: {},
  swiglu: { feedForward: 'swiglu' },
  gated: { feedForward: 'gated', activation: 'gelu' },
  'tanh GELU': { activation: 'gelu-tanh', hidden: 31 },
  'quick GELU': { activation: 'quick-gelu' },
  'no key bias': { qkvBias: 'qv' },
  'no biases': { qkvBias: 'none' },
  'layer scale': { layerScale },
  'shared relative positions': relative('shared'),
  'relative positions of each block': relative('per-block'),
  'both, resampled': relative('both', { h: 4, w: 3 }),
  'rotary positions': { rotaryPositions: { periods: rotaryPeriods(8) } },
  registers: { prefix: [...clsPrefix, registers] },
  'two cls, one with a position': {
    prefix: [
      { name: 'cls_token', kind: 'cls', count: 1, positioned: true },
      { name: 'dist_token', kind: 'cls', count: 1, positioned: false },
    ],
  },
  'no cls': { prefix: [] },
  'a norm before': { preNorm: true },
  everything: {
    ...{ feedForward: 'swiglu', qkvBias: 'qv', preNorm: true, prefix: [...clsPrefix, registers] },
    layerScale: { initial: 0.5, names: ['gamma_1', 'gamma_2'] },
    ...relative('both'),
  },
}

const taps: readonly Tap[] = [
  { block: -1, of: 'output' },
  { block: 0, of: 'output' },
  { block: 1, of: 'output' },
  ...(['query', 'key', 'value', 'attention'] as const).map((of) => ({ block: 1, of })),
  { block: 0, of: 'attention', queries: 2 },
]

describe.each(Object.entries(variants))('%s', (_, variant) => {
  const isPositioned = variant.prefix?.some(({ positioned }) => positioned) ?? false
  const shape: BackboneShape = {
    ...plainBackbone({ ...tiny, variant }),
    ...(isPositioned && { positions: 'learned' }),
  }
  const backbone = openBackbone(shape, 'cpu')
  const parameters = stirredParameters(backbone)
  const weights = weightsOf(parameters)
  const P = prefixLength(variant.prefix ?? clsPrefix)
  const encoded = (norm = true) => backbone.encodeAll(viewOf(tinyImages(2)), weights, { taps, norm })
  const weighted = (x: Tensor, seed: number) => {
    const float = toDtype(x, 'float32')
    return sum(mul(float, tensor(wave(product(x.shape), seed), x.shape)))
  }
  const loss = (norm = true) => {
    const { sequence, taps: tapped } = encoded(norm)
    return [sequence, ...tapped].map(weighted).reduce((a, b) => add(a, b))
  }
  const results = (recompute: boolean, kernels: Kernels, bf16 = false, norm = true) => {
    clearGradients(parameters.values())
    const compute = () => {
      const run = () => loss(norm)
      const made = bf16 ? autocast({ device: 'cpu', dtype: 'bfloat16' }, run) : run()
      const value = item(made)
      backwardRecomputing([made])
      return value
    }
    return scope(() =>
      withKernels(kernels, () => {
        const value = recompute ? withRecompute(compute) : compute()
        const gradients = [...parameters.values()].map((x) => {
          const found = gradient(x)
          return found ? numbers(found) : []
        })
        return { value, gradients }
      }),
    )
  }

  it('kernels and LibTorch agree, and recomputing changes no bit, with and without the norm', () => {
    for (const norm of [true, false]) {
      const plain = results(false, 'fused', false, norm)
      const before = liveTensors()
      const composed = results(false, 'composed', false, norm)
      expect(plain.gradients.filter((each) => each.length === 0).length).toBe(norm ? 0 : 2)
      expectClose([composed.value], [plain.value], 1e-3)
      for (const [i, each] of composed.gradients.entries()) {
        const most = plain.gradients[i]!.reduce((a, b) => Math.max(a, Math.abs(b)), 1)
        expectClose(each, plain.gradients[i]!, 1e-5 * most)
      }
      expect(results(true, 'fused', false, norm)).toEqual(plain)
      expect(results(true, 'composed', false, norm)).toEqual(composed)
      expect(liveTensors()).toBe(before)
    }
  })

  it('in bfloat16 gradients point the same way, recomputed or not', () => {
    const plain = results(false, 'fused').gradients.flat()
    for (const kernels of ['fused', 'composed'] as const) {
      const half = results(false, kernels, true).gradients
      expect(results(true, kernels, true).gradients).toEqual(half)
      const dot = (a: readonly number[], b: readonly number[]) => a.reduce((s, x, i) => s + x * b[i]!, 0)
      const own = half.flat()
      expect(dot(own, plain) / Math.sqrt(dot(own, own) * dot(plain, plain))).toBeGreaterThan(0.995)
    }
  })

  it('the gradient of every parameter is the slope of the loss', () => {
    const { gradients } = results(false, 'composed')
    const valueAt = (x: Tensor, direction: readonly number[], step: number) =>
      noGrad(() =>
        scope(() => {
          callInPlace('add_.Tensor', x, tensor([...direction], x.shape), step)
          return withKernels('composed', () => item(loss()))
        }),
      )
    for (const [i, [name, x]] of [...parameters].entries()) {
      const norm = Math.sqrt(gradients[i]!.reduce((s, g) => s + g * g, 0))
      if (norm < 1e-3) continue // keys' biases move nothing
      const up = gradients[i]!.map((g) => g / norm)
      const [step, before] = [2e-3, numbers(x)]
      const high = valueAt(x, up, step)
      const low = valueAt(x, up, -2 * step)
      noGrad(() => scope(() => callInPlace('copy_', x, tensor(before, x.shape))))
      const slope = (high - low) / (2 * step)
      expect(Math.abs(slope / norm - 1), `${name}: ${slope} for ${norm}`).toBeLessThan(0.05)
    }
  })

  it('taps are what they say, and an early end computes no later block', () =>
    noGrad(() =>
      scope(() => {
        const { sequence, taps: tapped, prefix } = encoded()
        const [, first, last, q, k, v, shares, few] = tapped as Tensor[]
        expect([q, k, v].map((x) => x!.shape)).toEqual(Array(3).fill([2, 3, P + 15, 8]))
        expect(shares!.shape).toEqual([2, 3, P + 15, P + 15])
        expect(few!.shape).toEqual([2, 3, 2, P + 15])
        expectClose(finalNorm(last!, weights, shape.dimensions), sequence, 2e-6)
        expect(patchesOf({ sequence, prefix }).shape).toEqual([2, 15, 24])
        const seen: string[] = []
        const watched = (name: string) => {
          seen.push(name)
          return weights(name)
        }
        const early = backbone.encodeAll(viewOf(tinyImages(2)), watched, { until: 0, norm: false })
        expectClose(early.sequence, first!, 2e-6)
        expect(seen.filter((name) => /^blocks\.1|^norm\./.test(name))).toEqual([])
      }),
    ))

  it('of kept patches, in any order, is the same network', () =>
    noGrad(() =>
      scope(() => {
        const order = Array.from({ length: 15 }, (_, n) => (n * 7 + 3) % 15)
        const kept = fromArray(BigInt64Array.from([...order, ...order], BigInt), [2, 15], 'int64')
        const whole = backbone.encodeAll(viewOf(tinyImages(2)), weights)
        const mixed = backbone.encodeKept(backbone.cut(viewOf(tinyImages(2))), kept, weights)
        expectClose(patchesOf(mixed), take(patchesOf(whole), kept), 5e-6)
      }),
    ))
})

it('refuses what is not computed, and positions that do not know what a sample is', () =>
  scope(() => {
    const backbone = openBackbone(plainBackbone(tiny), 'cpu')
    const weights = weightsOf(stirredParameters(backbone))
    const run = (options: object) => backbone.encodeAll(viewOf(tinyImages(1)), weights, options)
    expect(() => run({ until: 2 })).toThrow('until: expected a block below 2, got 2')
    expect(() => run({ taps: [{ block: 1, of: 'key' }], until: 0 })).toThrow(
      'the key of block 1: expected a block from 0 to 0',
    )
    const frames = { ...plainBackbone({ ...tiny, variant: relative('shared') }), frames: 2 }
    expect(() => openBackbone(frames, 'cpu')).toThrow('Relative or rotary positions')
  }))
