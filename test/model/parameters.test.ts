import { describe, expect, it } from 'vitest'
import { backboneRows } from '../../src/model/backbone.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import {
  initialParameters,
  loadParameters,
  type ParameterRow,
  parameterCount,
  weightsOf,
  within,
} from '../../src/model/parameters.ts'
import { backward, gradient } from '../../src/tensor/context.ts'
import { square, sum } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { fromArray, tensor } from '../../src/tensor/tensor.ts'
import { numbers, product } from '../tolerance.ts'
import { decoderRows } from './decoder-rows.ts'
import { tiny } from './tiny-model.ts'

const d = {
  ...tiny,
  imageSize: [16, 16] as const,
  patchSize: [8, 8] as const,
  width: 96,
  heads: 4,
}
const rows = [
  ...backboneRows(plainBackbone(d)),
  ...decoderRows({ encoder: d, decoder: { width: 64, depth: 1, heads: 4 } }),
]
const parameters = initialParameters(rows, { seed: 3, device: 'cpu' })
const values = (name: string) => numbers(parameters.get(name)!)
const mean = (x: readonly number[]) => x.reduce((a, b) => a + b, 0) / x.length
const variance = (x: readonly number[]) => mean(x.map((v) => v ** 2)) - mean(x) ** 2

describe('initialParameters', () => {
  it('makes every row, in order, with its shape and a gradient to collect', () => {
    expect([...parameters.keys()]).toEqual(rows.map(({ name }) => name))
    for (const { name, shape } of rows) expect(parameters.get(name)!.shape).toEqual(shape)
    scope(() => {
      const bias = parameters.get('norm.bias')!
      backward(sum(square(bias)))
      expect(numbers(gradient(bias)!)).toEqual(Array(96).fill(0))
    })
  })

  // Glorot & Bengio 2010: uniform in ±√(6 / (in + out)), so a variance of 2 / (in + out).
  it.each([
    ['blocks.0.attn.qkv.weight', 96, 288],
    ['blocks.1.attn.proj.weight', 96, 96],
    ['blocks.0.mlp.fc1.weight', 96, 384],
    ['decoder_blocks.0.mlp.fc2.weight', 256, 64],
    ['decoder_pred.weight', 64, 192],
    // A convolution counts as the linear map that it is: 3 · 8 · 8 inputs, and not as a convolution's fan.
    ['patch_embed.proj.weight', 192, 96],
  ])('draws %s xavier-uniform for %d inputs and %d outputs', (name, inputs, outputs) => {
    const drawn = values(name)
    const bound = Math.sqrt(6 / (inputs + outputs))
    expect(drawn.length).toBe(inputs * outputs)
    const largest = Math.max(...drawn.map(Math.abs))
    expect(largest).toBeLessThanOrEqual(bound * (1 + 1e-6))
    expect(largest).toBeGreaterThan(bound * 0.995)
    const expected = bound ** 2 / 3
    // Variance of x² of a uniform is 4/45 · bound⁴; five standard errors.
    const error = 5 * Math.sqrt(4 / 45 / drawn.length) * bound ** 2
    expect(Math.abs(variance(drawn) - expected)).toBeLessThan(error)
    expect(Math.abs(mean(drawn))).toBeLessThan(5 * Math.sqrt(expected / drawn.length))
  })

  it('draws tokens from N(0, 0.02²)', () => {
    const wide: ParameterRow = { name: 'cls_token', shape: [1, 1, 20_000], initial: 'token' }
    const drawn = numbers(initialParameters([wide], { seed: 9, device: 'cpu' }).get('cls_token')!)
    expect(Math.sqrt(variance(drawn))).toBeCloseTo(0.02, 3)
    expect(Math.abs(mean(drawn))).toBeLessThan((5 * 0.02) / Math.sqrt(20_000))
    expect(drawn.filter((v) => Math.abs(v) > 0.04).length / 20_000).toBeCloseTo(0.0455, 2) // not cut off
    for (const { name, initial } of rows)
      if (initial === 'token') expect(['cls_token', 'mask_token']).toContain(name)
  })

  it('starts biases at 0 and norms at 1 and 0', () => {
    const norm = /(^|\.|_)norm[12]?\.weight$/
    for (const { name, shape } of rows) {
      if (name.endsWith('.bias')) expect(values(name)).toEqual(Array(product(shape)).fill(0))
      if (norm.test(name)) expect(values(name)).toEqual(Array(product(shape)).fill(1))
    }
    expect(rows.filter(({ name }) => norm.test(name)).length).toBe(2 * 2 + 1 + 2 + 1)
  })

  it('draws each from its own address: the same again, another for another seed', () => {
    const again = initialParameters(rows, { seed: 3, device: 'cpu' })
    const other = initialParameters(rows, { seed: 4, device: 'cpu' })
    for (const { name, initial } of rows) {
      expect(numbers(again.get(name)!)).toEqual(values(name))
      const drawn = initial === 'xavier' || initial === 'token'
      if (drawn) expect(numbers(other.get(name)!)).not.toEqual(values(name))
    }
    const all = rows.filter(({ initial }) => initial === 'xavier').map(({ name }) => values(name)[0]!)
    expect(new Set(all).size).toBe(all.length)
  })

  it('does not change a parameter when another is added before it, taken away or moved', () => {
    const extra: ParameterRow = { name: 'extra.weight', shape: [5, 7], initial: 'xavier' }
    const changed = [extra, ...rows.slice(4).reverse()]
    const drawn = initialParameters(changed, { seed: 3, device: 'cpu' })
    for (const { name } of rows.slice(4)) expect(numbers(drawn.get(name)!)).toEqual(values(name))
  })

  it('outlives the scope that it was called in, and holds one tensor a row', () => {
    const before = liveTensors()
    const made = scope(() => {
      const kept = initialParameters(rows, { seed: 3, device: 'cpu' })
      return () => kept
    })()
    expect(numbers(made.get('cls_token')!)).toEqual(values('cls_token'))
    expect(liveTensors() - before).toBe(rows.length)
    for (const each of made.values()) each.dispose()
  })
})

it('parameterCount adds up the elements', () => {
  expect(
    parameterCount([
      { name: 'a', shape: [2, 3], initial: 'zeros' },
      { name: 'b', shape: [], initial: 'zeros' },
      { name: 'c', shape: [4], initial: 'zeros' },
    ]),
  ).toBe(11)
})

describe('weightsOf', () => {
  it('finds parameters by name and below a prefix', () => {
    const weights = weightsOf(parameters)
    expect(within(within(weights, 'blocks.1'), 'attn')('qkv.weight')).toBe(
      parameters.get('blocks.1.attn.qkv.weight'),
    )
  })

  it('says which name is near', () =>
    expect(() => weightsOf(parameters)('blocks.0.atn.qkv.weight')).toThrow(
      'No parameter "blocks.0.atn.qkv.weight". Did you mean "blocks.0.attn.qkv.weight"?',
    ))
})

describe('loadParameters', () => {
  const small: ParameterRow[] = [
    { name: 'a', shape: [2], initial: 'zeros' },
    { name: 'b', shape: [1, 2], initial: 'zeros' },
  ]
  const load = (stored: Record<string, ReturnType<typeof tensor>>) =>
    loadParameters(small, new Map(Object.entries(stored)), 'cpu')

  it('copies, in the order of the rows, and asks for gradients', () =>
    scope(() => {
      const a = tensor([1, 2], [2])
      const loaded = load({ b: tensor([3, 4], [1, 2]), a })
      expect([...loaded].map(([name, x]) => [name, numbers(x)])).toEqual([
        ['a', [1, 2]],
        ['b', [3, 4]],
      ])
      a.dispose()
      backward(sum(square(loaded.get('a')!)))
      expect(numbers(gradient(loaded.get('a')!)!)).toEqual([2, 4])
      for (const each of loaded.values()) each.dispose()
    }))

  it('lists everything that does not fit', () =>
    scope(() => {
      const double = fromArray(Float64Array.of(1, 2), [2], 'float64')
      expect(() => load({ a: double, c: tensor([1], [1]) })).toThrow(
        expect.objectContaining({
          code: 'CHECKPOINT',
          message: [
            'The weights do not fit the model:',
            '  missing (1): b',
            '  unexpected (1): c',
            '  wrong shape (1): a: expected float32[2], got float64[2]',
          ].join('\n'),
        }),
      )
      expect(() => load({ a: tensor([1, 2], [2]), b: tensor([3, 4], [2, 1]) })).toThrow(
        'b: expected float32[1, 2], got float32[2, 1]',
      )
    }))
})
