// Keys of published encoders: what they make of the parameters, of the tokens and of another image size.
import { describe, expect, it } from 'vitest'
import { backboneOf, configAt, dimensionsOf, resolveConfig } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { backboneRows, openBackbone } from '../../src/model/backbone.ts'
import { outputRows, outputWidth, ownOutput } from '../../src/model/own-output.ts'
import { initialParameters, weightsOf } from '../../src/model/parameters.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { randn } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { toFloats } from '../../src/tensor/tensor.ts'

type Model = NonNullable<ConfigInput['model']>
const base = { imageSize: 16, patchSize: 4, width: 32, depth: 2, heads: 4 }
const configOf = (model: Model) =>
  resolveConfig({ model: { ...base, ...model }, decoder: { width: 16, depth: 1, heads: 2 } })

interface Row {
  readonly model: Model
  /** Parameters that a plain encoder has not, with their shapes. */
  readonly more?: Readonly<Record<string, readonly number[]>>
  /** And those that it has alone. */
  readonly fewer?: readonly string[]
  /** Tokens in front of the patches. */
  readonly prefix?: number
  readonly own?: number
}

const both = (name: string, of: readonly number[]) =>
  Object.fromEntries([0, 1].map((i) => [`blocks.${i}.${name}`, of]))
const relative = { positions: 'none', relativePositions: 'per-block' } as const

const rows: Readonly<Record<string, Row>> = {
  plain: { model: {} },
  'no cls token': {
    model: { cls: false, positions: 'learned' },
    more: { pos_embed: [16, 32] },
    fewer: ['cls_token'],
    prefix: 0,
  },
  registers: { model: { registers: 3 }, more: { register_tokens: [1, 3, 32] }, prefix: 4 },
  'positions of another grid': {
    model: { positions: 'learned', positionGrid: [3, 5], resampling: 'cubic-antialias' },
    more: { pos_embed: [15, 32] },
  },
  'relative positions': { model: relative, more: both('attn.relative_position_bias_table', [7 * 7 + 3, 4]) },
  'shared relative positions of another grid': {
    model: { positions: 'none', relativePositions: 'shared', positionGrid: [2, 3] },
    more: { 'rel_pos_bias.relative_position_bias_table': [3 * 5 + 3, 4] },
  },
  'rotary positions': { model: { positions: 'none', rotaryPeriods: [1, 10] } },
  'no bias of patches': { model: { patchBias: false }, fewer: ['patch_embed.proj.bias'] },
  'a norm before': { model: { preNorm: true }, more: { 'norm_pre.weight': [32], 'norm_pre.bias': [32] } },
  'quick gelu of another width': {
    model: { activation: 'quick-gelu', hidden: 20 },
    more: both('mlp.fc1.weight', [20, 32]),
  },
  swiglu: {
    model: { feedForward: 'swiglu' },
    more: { ...both('mlp.w12.weight', [176, 32]), ...both('mlp.w3.weight', [32, 88]) },
    fewer: ['blocks.0.mlp.fc1.weight'],
  },
  gated: {
    model: { feedForward: 'gated', hidden: 40 },
    more: {
      ...both('mlp.w1.bias', [40]),
      ...both('mlp.w2.weight', [40, 32]),
      ...both('mlp.w3.weight', [32, 40]),
    },
  },
  'no bias of keys': {
    model: { qkvBias: 'qv' },
    more: { ...both('attn.q_bias', [32]), ...both('attn.v_bias', [32]) },
    fewer: ['blocks.1.attn.qkv.bias'],
  },
  'layer scale': {
    model: { layerScale: 1e-5 },
    more: { ...both('ls1.gamma', [32]), ...both('ls2.gamma', [32]) },
  },
  'attention pooling': {
    model: { cls: false, positions: 'learned', attentionPool: true, feature: 'pooled' },
    prefix: 0,
    own: 32,
  },
  projection: { model: { projection: 12, feature: 'pooled' }, own: 12 },
}

describe.each(Object.entries(rows))('%s', (_, { model, more = {}, fewer = [], prefix = 1, own }) => {
  const config = configOf(model)
  const shapes = new Map(backboneRows(backboneOf(config)).map(({ name, shape }) => [name, [...shape]]))

  it('has its parameters', () => {
    const plain = backboneRows(backboneOf(configOf({})))
    expect(Object.fromEntries([...shapes].filter(([name]) => name in more))).toEqual(more)
    for (const name of fewer) {
      expect(plain.map((each) => each.name)).toContain(name)
      expect([...shapes.keys()]).not.toContain(name)
    }
    const width = outputWidth(dimensionsOf(config))
    expect(width).toBe(own ?? null)
  })

  it('encodes images of its size and of others by the same parameters', () => {
    const d = dimensionsOf(config)
    const all = [...backboneRows(backboneOf(config)), ...outputRows(d)]
    noGrad(() =>
      scope(() => {
        const weights = weightsOf(initialParameters(all, { seed: 1, device: 'cpu' }))
        for (const [h, w] of [
          [16, 16],
          [8, 24],
        ] as const) {
          const shape = backboneOf(configAt(config, [h, w]))
          expect(new Map(backboneRows(shape).map((each) => [each.name, [...each.shape]]))).toEqual(shapes)
          const pixels = randn([2, 1, 3, h, w])
          const encoded = openBackbone(shape, 'cpu').encodeAll(
            { pixels, valid: null, times: null, resolution: null },
            weights,
          )
          expect(encoded.sequence.shape).toEqual([2, prefix + (h * w) / 16, 32])
          expect(toFloats(encoded.sequence).every(Number.isFinite)).toBe(true)
          if (own) expect(ownOutput(encoded, weights, d).shape).toEqual([2, own])
        }
      }),
    )
  })
})

it.each<[Model, RegExp]>([
  [
    { positions: 'none' },
    /model\.positions "none": expected model\.relativePositions or model\.rotaryPeriods/,
  ],
  [
    { positions: 'none', rotaryPeriods: [1] },
    /model\.rotaryPeriods: expected 2 periods, a quarter of a head's 8 numbers, got 1/,
  ],
  [
    { positionGrid: [2, 2] },
    /model\.positionGrid is of learned or relative positions, and this model has none/,
  ],
  [{ relativeResampling: 'geometric' }, /model\.relativeResampling is of relative positions/],
  [{ cls: false, feature: 'cls' }, /model\.feature is cls, and model\.cls is false: expected mean or pooled/],
  [{ cls: false, projection: 8 }, /model\.projection is of the cls token/],
])('%j is refused', (model, message) => expect(() => configOf(model)).toThrow(message))
