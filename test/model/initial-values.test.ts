// How parameters start in BEiT and what came from it, and in MaskFeat: deviations, bounds, divisions, biases; and what decays.
import { describe, expect, it } from 'vitest'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import {
  beitInitial,
  beitv2Initial,
  type InitialRecipe,
  maskfeatInitial,
  startingBy,
} from '../../src/model/initial-values.ts'
import { initialParameters, type ParameterRow } from '../../src/model/parameters.ts'
import { asInBeit, asInMaskfeat, maskTokens } from '../../src/objective/mask-tokens.ts'
import { groupsAt } from '../../src/optim/groups.ts'
import { clsPrefix } from '../../src/token/prefix.ts'
import { numbers } from '../tolerance.ts'
import { tiny } from './tiny-model.ts'

const drawn = (rows: readonly ParameterRow[], recipe: InitialRecipe) => {
  const made = initialParameters(startingBy(rows, recipe), { seed: 3, device: 'cpu' })
  return (name: string) => numbers(made.get(name)!)
}
const deviation = (x: readonly number[]) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length)
const most = (x: readonly number[]) => x.reduce((a, v) => Math.max(a, Math.abs(v)), 0)
const within = (x: readonly number[], bound: number) => x.filter((v) => Math.abs(v) < bound).length / x.length
const row = (name: string, shape: readonly number[], initial: ParameterRow['initial'] = 'xavier') => ({
  ...{ name, shape, initial },
})
/** 40,000 numbers, so that a deviation is known to 1 in 200. */
const square = (name: string) => row(name, [200, 200])

const encoder = [
  square('patch_embed.proj.weight'),
  row('cls_token', [1, 1, 40_000], 'token'),
  square('blocks.0.attn.qkv.weight'),
  square('blocks.0.attn.proj.weight'),
  square('blocks.11.attn.proj.weight'),
  square('blocks.11.mlp.fc1.weight'),
  square('blocks.11.mlp.fc2.weight'),
  square('blocks.2.mlp.w3.weight'),
  row('blocks.0.attn.qkv.bias', [200], 'zeros'),
  row('blocks.0.attn.q_bias', [200], 'zeros'),
  row('blocks.0.norm1.weight', [200], 'ones'),
  row('blocks.0.norm1.bias', [200], 'zeros'),
  row('blocks.0.ls1.gamma', [200], { value: 0.1 }),
  row('rel_pos_bias.relative_position_bias_table', [20, 10], 'zeros'),
  row('norm.bias', [200], 'zeros'),
  square('decoder_pred.weight'),
  row('decoder_pred.bias', [200], 'zeros'),
]
const rest = { 'blocks.0.norm1.weight': 1, 'blocks.0.ls1.gamma': 0.1 } as const
const biases = ['blocks.0.attn.qkv.bias', 'blocks.0.attn.q_bias', 'blocks.0.norm1.bias']

describe('BEiT', () => {
  const values = drawn(encoder, beitInitial)

  // Of a normal cut at one deviation: 1 − 2φ(1) / (2Φ(1) − 1) = 0.2911 of its variance; 0.5609 lie within half a deviation.
  it.each([
    ['patch_embed.proj.weight', 1],
    ['cls_token', 1],
    ['blocks.0.attn.qkv.weight', 1],
    ['blocks.0.attn.proj.weight', Math.sqrt(2)],
    ['blocks.11.attn.proj.weight', Math.sqrt(24)],
    ['blocks.11.mlp.fc1.weight', 1],
    ['blocks.11.mlp.fc2.weight', Math.sqrt(24)],
    ['blocks.2.mlp.w3.weight', Math.sqrt(6)],
    ['decoder_pred.weight', 1],
  ])('%s deviates by 0.0108, over %d', (name, divisor) => {
    const own = values(name)
    expect((deviation(own) * divisor) / 0.010791).toBeCloseTo(1, 1.7)
    expect(most(own)).toBeLessThanOrEqual((0.02 / divisor) * (1 + 1e-6))
    expect(most(own)).toBeGreaterThan((0.02 / divisor) * 0.999)
    expect(within(own, 0.01 / divisor)).toBeCloseTo(0.5609, 1.7)
  })

  it('leaves biases and tables 0, norms 1, and factors as they are', () => {
    for (const name of [
      ...biases,
      'norm.bias',
      'decoder_pred.bias',
      'rel_pos_bias.relative_position_bias_table',
    ])
      expect([name, most(values(name))]).toEqual([name, 0])
    for (const [name, value] of Object.entries(rest)) expect(values(name)[7]).toBeCloseTo(value, 7)
  })

  it('draws each from its own address', () => {
    const fewer = drawn(encoder.slice(2).reverse(), beitInitial)
    for (const name of ['blocks.0.attn.qkv.weight', 'decoder_pred.weight']) {
      expect(fewer(name)).toEqual(values(name))
    }
    expect(values('blocks.0.attn.qkv.weight')).not.toEqual(values('patch_embed.proj.weight'))
  })
})

it('MaskFeat deviates by 0.02, with biases of 0.02 before the head', () => {
  const values = drawn(encoder, maskfeatInitial)
  for (const name of ['cls_token', 'blocks.11.attn.proj.weight', 'decoder_pred.weight']) {
    expect(deviation(values(name)) / 0.02).toBeCloseTo(1, 1.7)
    expect(within(values(name), 0.02)).toBeCloseTo(0.6827, 1.7)
    expect(most(values(name))).toBeGreaterThan(0.07)
    expect(most(values(name))).toBeLessThan(0.12)
  }
  for (const name of biases) expect(new Set(values(name))).toEqual(new Set([Math.fround(0.02)]))
  for (const name of ['norm.bias', 'decoder_pred.bias', 'rel_pos_bias.relative_position_bias_table'])
    expect([name, most(values(name))]).toEqual([name, 0])
  for (const [name, value] of Object.entries(rest)) expect(values(name)[7]).toBeCloseTo(value, 7)
})

it('the blocks of BEiT v2’s second head start as linear maps of PyTorch, and are divided as blocks behind the early ones', () => {
  const wide = row('cls_pt_layers.1.mlp.fc2.weight', [100, 400])
  const rows = [
    ...encoder,
    square('cls_pt_layers.0.attn.qkv.weight'),
    row('cls_pt_layers.0.attn.q_bias', [200], 'zeros'),
    square('cls_pt_layers.0.attn.proj.weight'),
    row('cls_pt_layers.0.attn.proj.bias', [200], 'zeros'),
    row('cls_pt_layers.0.norm1.weight', [200], 'ones'),
    row('cls_pt_layers.0.norm1.bias', [200], 'zeros'),
    ...[wide, row('cls_pt_layers.1.mlp.fc2.bias', [100], 'zeros')],
  ]
  const values = drawn(rows, beitv2Initial(9))
  const uniform = (name: string, bound: number) => {
    expect([name, most(values(name)) <= bound * (1 + 1e-6)]).toEqual([name, true])
    expect(most(values(name)) / bound).toBeGreaterThan(0.95)
  }
  uniform('cls_pt_layers.0.attn.qkv.weight', 1 / Math.sqrt(200))
  uniform('cls_pt_layers.0.attn.proj.weight', 1 / Math.sqrt(200 * 2 * 10))
  uniform('cls_pt_layers.0.attn.proj.bias', 1 / Math.sqrt(200))
  uniform('cls_pt_layers.1.mlp.fc2.weight', 1 / Math.sqrt(400 * 2 * 11))
  uniform('cls_pt_layers.1.mlp.fc2.bias', 1 / Math.sqrt(400))
  const own = values('cls_pt_layers.0.attn.qkv.weight')
  expect(deviation(own) * Math.sqrt(3 * 200)).toBeCloseTo(1, 1.7)
  for (const name of ['q_bias', 'norm1.bias'])
    expect(
      most(values(name === 'q_bias' ? 'cls_pt_layers.0.attn.q_bias' : 'cls_pt_layers.0.norm1.bias')),
    ).toBe(0)
  expect(values('cls_pt_layers.0.norm1.weight')[3]).toBe(1)
  expect(values('blocks.0.attn.qkv.weight')).toEqual(drawn(encoder, beitInitial)('blocks.0.attn.qkv.weight'))
})

describe('what decays', () => {
  const dimensions = {
    ...tiny,
    variant: {
      prefix: clsPrefix.map((cls) => ({ ...cls, positioned: true })),
      relativePositions: { tables: 'both', grid: { h: 3, w: 5 } },
    } as const,
  }
  const decayed = (how: typeof asInBeit | typeof asInMaskfeat) => {
    const { rows, groups = [] } = maskTokens({
      ...{ ...plainBackbone(dimensions), positions: 'learned', maskRatio: 0.6, device: 'cpu', ...how },
    })
    const shapes = rows.map(({ name, shape }) => [name, { shape }] as const)
    const { ratesOf } = groupsAt(shapes, groups, { learningRate: 1, weightDecay: 0.05, step: 0, epoch: 0 })
    const isAsked = (name: string) => /_token$|pos_embed|table$|^norm|^blocks\.0\.norm1/.test(name)
    return rows.filter(({ name }) => isAsked(name) && ratesOf(name).decay > 0).map(({ name }) => name)
  }
  const tables = [
    'rel_pos_bias.relative_position_bias_table',
    ...[0, 1].map((block) => `blocks.${block}.attn.relative_position_bias_table`),
  ]
  it('BEiT: mask token and tables, not cls and positions', () =>
    expect(decayed(asInBeit).sort()).toEqual(['mask_token', ...tables].sort()))
  it('MaskFeat: all of them, and no vector', () =>
    expect(decayed(asInMaskfeat).sort()).toEqual(['cls_token', 'mask_token', 'pos_embed', ...tables].sort()))
})
