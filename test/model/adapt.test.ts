// Low-rank adapters and training of biases alone: what learns, where it starts, what it computes, its gradients.
import { describe, expect, it } from 'vitest'
import {
  type Adaptation,
  adaptBackbone,
  adaptersOf,
  isAdapter,
  type LowRank,
  mergeAdapters,
} from '../../src/model/adapt.ts'
import { type Backbone, openBackbone } from '../../src/model/backbone.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import type { EncoderVariant } from '../../src/model/dimensions.ts'
import { initialParameters, type Parameters, weightsOf } from '../../src/model/parameters.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { callInPlace } from '../../src/tensor/call.ts'
import {
  autocast,
  clearGradients,
  gradient,
  noGrad,
  requireGradient,
  requiresGradient,
} from '../../src/tensor/context.ts'
import { clone, mul, sum } from '../../src/tensor/ops.ts'
import { backwardRecomputing, withRecompute } from '../../src/tensor/recompute.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, type Tensor, tensor, toFloats } from '../../src/tensor/tensor.ts'
import { expectClose, numbers, product, wave } from '../tolerance.ts'
import { tiny, tinyImages } from './tiny-model.ts'

const variants: Record<string, EncoderVariant> = {
  'a plain ViT': {},
  'DINOv2 (LayerScale, SwiGLU)': { layerScale: { initial: 0.7 }, feedForward: 'swiglu' },
  'CLIP (norm in front, quick GELU)': { preNorm: true, activation: 'quick-gelu' },
  'BEiT (no bias of keys)': { qkvBias: 'qv' },
  'DINOv3 (no bias of queries, gated)': { qkvBias: 'none', feedForward: 'gated' },
}
const maps = (variant: EncoderVariant) =>
  variant.feedForward === 'swiglu'
    ? ['qkv', 'proj', 'w12', 'w3']
    : variant.feedForward === 'gated'
      ? ['qkv', 'proj', 'w1', 'w2', 'w3']
      : ['qkv', 'proj', 'fc1', 'fc2']

const lora = (over: Partial<LowRank> = {}): LowRank => ({
  ...{ kind: 'lora', rank: 3, alpha: 6, targets: ['qkv', 'proj'] },
  ...over,
})
const opened = (variant: EncoderVariant, adaptation: Adaptation) =>
  adaptBackbone(openBackbone(plainBackbone({ ...tiny, variant }), 'cpu'), adaptation)

/** Parameters without the zeros of a fresh adapter. */
function stirred({ rows }: Backbone): Parameters {
  const parameters = initialParameters(rows, { seed: 1, device: 'cpu' })
  noGrad(() =>
    scope(() => {
      for (const [i, x] of [...parameters.values()].entries())
        callInPlace('add_.Tensor', x, tensor(wave(product(x.shape), i), x.shape), 0.1)
    }),
  )
  return parameters
}
const outputOf = (backbone: Backbone, parameters: Parameters): Tensor =>
  backbone.encodeAll(viewOf(tinyImages(2)), weightsOf(parameters)).sequence
const output = (backbone: Backbone, parameters: Parameters): number[] =>
  noGrad(() => scope(() => numbers(outputOf(backbone, parameters))))
/** A number that every output counts in. */
const lossOf = (backbone: Backbone, parameters: Parameters): Tensor => {
  const y = outputOf(backbone, parameters)
  return sum(mul(y, tensor(wave(product(y.shape), 9), y.shape)))
}

describe('the parameters of adapters', () => {
  it('have the names and shapes of PEFT, start as it starts them, and are all that learns', () => {
    const { rows } = opened({}, lora())
    const learned = rows.filter(({ role = 'learned' }) => role === 'learned')
    expect(learned.map(({ name, shape }) => `${name} ${shape}`)).toEqual(
      [0, 1].flatMap((i) => [
        `blocks.${i}.attn.qkv.lora_A.weight 3,24`,
        `blocks.${i}.attn.qkv.lora_B.weight 72,3`,
        `blocks.${i}.attn.proj.lora_A.weight 3,24`,
        `blocks.${i}.attn.proj.lora_B.weight 24,3`,
      ]),
    )
    const parameters = initialParameters(rows, { seed: 1, device: 'cpu' })
    const a = learned
      .filter(({ name }) => name.includes('lora_A'))
      .flatMap(({ name }) => numbers(parameters.get(name)!))
    const b = learned
      .filter(({ name }) => name.includes('lora_B'))
      .flatMap(({ name }) => numbers(parameters.get(name)!))
    // Kaiming-uniform with a = √5: to √(6 / (1 + 5) / 24), whose deviation is that over √3.
    const bound = Math.sqrt(1 / 24)
    expect(Math.max(...a.map(Math.abs))).toBeLessThanOrEqual(bound)
    const deviation = Math.sqrt(a.reduce((total, x) => total + x * x, 0) / a.length)
    expect(deviation / (bound / Math.sqrt(3))).toBeCloseTo(1, 0)
    expect(b.every((x) => x === 0)).toBe(true)
  })

  it('leave to BitFit the biases of maps, norms and patches alone', () => {
    const { rows } = opened(variants['BEiT (no bias of keys)']!, { kind: 'bitfit' })
    const learned = rows.filter(({ role = 'learned' }) => role === 'learned').map(({ name }) => name)
    const block = (i: number) =>
      [
        'norm1.bias',
        'attn.q_bias',
        'attn.v_bias',
        'attn.proj.bias',
        'norm2.bias',
        'mlp.fc1.bias',
        'mlp.fc2.bias',
      ].map((name) => `blocks.${i}.${name}`)
    expect(learned).toEqual(['patch_embed.proj.bias', ...block(0), ...block(1), 'norm.bias'])
  })

  it.each([
    [
      { targets: ['qkv', 'fc3'] },
      '--lora-targets (adapt.targets): no linear map of this encoder is called "fc3": its maps are qkv, proj, fc1, fc2. Did you mean "fc1"?',
    ],
    [
      { rank: 25 },
      '--lora-rank (adapt.rank) is 25, and blocks.0.attn.qkv.weight is [72, 24]: expected at most 24.',
    ],
  ])('%j is refused', (over, message) => {
    expect(() => opened({}, lora(over))).toThrow(message)
  })
})

describe.each(Object.entries(variants))('adapters of %s', (_, variant) => {
  const plain = openBackbone(plainBackbone({ ...tiny, variant }), 'cpu')
  const base = stirred(plain)
  const all = lora({ targets: maps(variant) })

  it.each<[string, LowRank]>([
    ['of rank 0', lora({ rank: 0 })],
    ['that are fresh', all],
  ])('%s change no bit', (_, adaptation) => {
    const adapted = opened(variant, adaptation)
    const fresh = new Map([...initialParameters(adapted.rows, { seed: 1, device: 'cpu' }), ...base])
    expect(output(adapted, fresh)).toEqual(output(plain, base))
  })

  it('give what W + s·B·A gives, counted by hand, and merged the same', () => {
    const adapted = opened(variant, all)
    const parameters = stirred(adapted)
    const merged = noGrad(() => mergeAdapters(parameters, all))
    expect([...merged.keys()]).toEqual(plain.rows.map(({ name }) => name))
    expectClose(output(plain, merged), output(adapted, parameters), 1e-5)
    const name = 'blocks.1.attn.proj.weight'
    const [a, b] = adaptersOf(name).map((each) => numbers(parameters.get(each)!)) as [number[], number[]]
    const w = numbers(parameters.get(name)!)
    const byHand = w.map((value, at) => {
      const [i, j] = [Math.floor(at / 24), at % 24]
      return value + 2 * [0, 1, 2].reduce((total, k) => total + b[i * 3 + k]! * a[k * 24 + j]!, 0)
    })
    expectClose(numbers(merged.get(name)!), byHand, 1e-6)
    expect(output(adapted, parameters)).not.toEqual(
      output(plain, new Map([...parameters].filter(([n]) => !isAdapter(n)))),
    )
  })

  it('learn by s·Bᵀ·dW and s·dW·Aᵀ, with and without recomputing; frozen weights have no gradient', () => {
    const adapted = opened(variant, all)
    const parameters = stirred(adapted)
    const merged = noGrad(
      () => new Map([...mergeAdapters(parameters, all)].map(([name, x]) => [name, clone(x)])),
    )
    for (const x of merged.values()) requireGradient(x)
    scope(() => backwardRecomputing([lossOf(plain, merged)]))
    const whole = new Map([...merged].map(([name, x]) => [name, numbers(gradient(x)!)]))
    clearGradients(merged.values())
    for (const recompute of [false, true]) {
      clearGradients(parameters.values())
      scope(() => {
        const body = () => backwardRecomputing([lossOf(adapted, parameters)])
        return recompute ? withRecompute(body) : body()
      })
      for (const { name, role } of adapted.rows) {
        const found = gradient(parameters.get(name)!)
        expect(found === null, name).toBe(role === 'fixed')
        if (!name.endsWith('.lora_A.weight')) continue
        const weight = name.replace('.lora_A', '')
        const [out, inner] = parameters.get(weight)!.shape as [number, number]
        const [a, b] = adaptersOf(weight).map((each) => numbers(parameters.get(each)!)) as [
          number[],
          number[],
        ]
        const dW = whole.get(weight)!
        const at = (i: number, j: number) => dW[i * inner + j]!
        const dA = a.map((_, n) => {
          const [k, j] = [Math.floor(n / inner), n % inner]
          let total = 0
          for (let i = 0; i < out; i++) total += b[i * 3 + k]! * at(i, j)
          return 2 * total
        })
        const dB = b.map((_, n) => {
          const [i, k] = [Math.floor(n / 3), n % 3]
          let total = 0
          for (let j = 0; j < inner; j++) total += at(i, j) * a[k * inner + j]!
          return 2 * total
        })
        const most = Math.max(...dW.map(Math.abs))
        expectClose(numbers(found!), dA, 1e-5 * Math.max(1, most))
        expectClose(numbers(gradient(parameters.get(adaptersOf(weight)[1])!)!), dB, 1e-5 * Math.max(1, most))
      }
    }
  })
})

describe('adapters', () => {
  it('learn along finite differences', () => {
    const adapted = opened({}, lora())
    const parameters = stirred(adapted)
    scope(() => backwardRecomputing([lossOf(adapted, parameters)]))
    for (const name of adaptersOf('blocks.0.attn.qkv.weight')) {
      const x = parameters.get(name)!
      const slope = toFloats(gradient(x)!)
      const direction = tensor(wave(product(x.shape), 4), x.shape)
      const along = numbers(direction).reduce((total, d, i) => total + d * slope[i]!, 0)
      const moved = (by: number) =>
        noGrad(() =>
          scope(() => {
            callInPlace('add_.Tensor', x, direction, by)
            const loss = item(lossOf(adapted, parameters))
            callInPlace('add_.Tensor', x, direction, -by)
            return loss
          }),
        )
      const step = 1e-2
      const difference = (moved(step) - moved(-step)) / (2 * step)
      expect(Math.abs(difference - along)).toBeLessThan(1e-3 * Math.abs(along) + 1e-3)
    }
  })

  it('are added in float32 under autocast, so that a small change is not rounded away', () => {
    const adaptation = lora({ alpha: 3e-5 })
    const adapted = opened({}, adaptation)
    const parameters = stirred(adapted)
    const merged = noGrad(() =>
      scope(() =>
        autocast({ device: 'cpu', dtype: 'bfloat16' }, () =>
          numbers(mergeAdapters(parameters, adaptation).get('blocks.0.attn.proj.weight')!),
        ),
      ),
    )
    const plain = noGrad(() =>
      scope(() => numbers(mergeAdapters(parameters, adaptation).get('blocks.0.attn.proj.weight')!)),
    )
    expect(merged).toEqual(plain)
  })

  it('below which nothing learns, blocks keep nothing for a gradient', () => {
    const adapted = opened({}, lora({ targets: ['blocks.1.attn.qkv'] }))
    const parameters = stirred(adapted)
    const tap = (block: number) => ({ block, of: 'output' as const })
    scope(() => {
      const { taps } = adapted.encodeAll(viewOf(tinyImages(1)), weightsOf(parameters), {
        taps: [tap(-1), tap(0), tap(1)],
      })
      expect(taps.map(requiresGradient)).toEqual([false, false, true])
    })
  })
})
