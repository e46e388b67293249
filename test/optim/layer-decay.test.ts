import { expect, it } from 'vitest'
import { adamw } from '../../src/optim/adamw.ts'
import { groupsAt } from '../../src/optim/groups.ts'
import { layerDecay, layerDecayRow, layerOf, tokensKeepTheirSize } from '../../src/optim/layer-decay.ts'
import { initialState } from '../../src/optim/optimizer.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose } from '../tolerance.ts'
import { take } from './stepping.ts'

it('scales of a network of three blocks are powers of the decay by layer', () => {
  const scale = layerDecay(0.5, 3)
  const expected = {
    cls_token: 1 / 16,
    register_tokens: 1 / 16,
    pos_embed: 1 / 16,
    'norm_pre.weight': 1 / 16,
    'patch_embed.proj.weight': 1 / 16,
    'blocks.0.norm1.weight': 1 / 8,
    'blocks.1.mlp.fc2.bias': 1 / 4,
    'blocks.2.attn.qkv.weight': 1 / 2,
    'norm.weight': 1,
    'fc_norm.bias': 1,
    'head.weight': 1,
    'attn_pool.latent': 1,
    'projection.weight': 1,
    'rel_pos_bias.relative_position_bias_table': 1,
    'blocks.1.attn.relative_position_bias_table': 1 / 4,
  }
  for (const [name, value] of Object.entries(expected)) expect([name, scale(name)]).toEqual([name, value])
  expect(layerOf('blocks.11.attn.proj.bias', 24)).toBe(12) // ViT-Large, as the reference counts
})

it('a row of an encoder under a prefix leaves other parameters at the learning rate', () => {
  const row = layerDecayRow(0.5, 3, 'student.backbone.')
  const names = [
    'student.backbone.register_tokens',
    'student.backbone.blocks.2.mlp.fc1.bias',
    'student.head.mlp.0.weight',
  ]
  const { ratesOf } = groupsAt(
    names.map((name) => [name, { shape: [2, 2] }] as const),
    [row],
    { step: 0, epoch: 0, learningRate: 8, weightDecay: 1 },
  )
  expect(names.map((name) => ratesOf(name).rate)).toEqual([0.5, 4, 8])
})

it('fine-tuning decays neither tokens nor positions nor vectors', () => {
  const shapes = {
    cls_token: [1, 1, 4],
    register_tokens: [1, 2, 4],
    pos_embed: [9, 4],
    'average.blocks.0.attn.relative_position_bias_table': [12, 2],
    'norm.weight': [4],
    'attn_pool.latent': [1, 1, 4],
    'blocks.0.attn.qkv.weight': [12, 4],
  }
  const when = { step: 0, epoch: 0, learningRate: 1, weightDecay: 0.5 }
  const { ratesOf } = groupsAt(
    Object.entries(shapes).map(([name, shape]) => [name, { shape }] as const),
    [layerDecayRow(0.5, 3), tokensKeepTheirSize],
    when,
  )
  expect(Object.keys(shapes).map((name) => ratesOf(name).decay)).toEqual([0, 0, 0, 0, 0, 0.5, 0.5])
})

it.each(['native', 'composed'] as const)('AdamW takes the scale as the rate of a parameter, %s', (kernel) =>
  scope(() => {
    const make = () => new Map(['a', 'b', 'c'].map((name, i) => [name, tensor([1, -2, 3 + i], [1, 3])]))
    const rule = adamw({ beta1: 0.9, beta2: 0.99, epsilon: 1e-8 })
    const options = { learningRate: 0.1, weightDecay: 0.1 }
    const gradients = () => [1, 2, 3].map((g) => tensor([g, -g, 0.5 * g], [1, 3]))
    const scaled = make()
    const scales = { a: 1, b: 0.25, c: 1 } as Record<string, number>
    const state = initialState(rule, scaled)
    const groups = [{ match: /./, rate: (name: string) => scales[name]! }]
    for (let i = 0; i < 3; i++) take(rule, scaled, gradients(), state, { ...options, groups }, kernel)
    for (const [i, [name, value]] of [...scaled].entries()) {
      const alone = new Map([[name, make().get(name)!]])
      const own = initialState(rule, alone)
      for (let step = 0; step < 3; step++)
        take(rule, alone, [gradients()[i]!], own, { ...options, learningRate: 0.1 * scales[name]! }, kernel)
      expectClose(value, alone.get(name)!, 1e-7)
    }
  }),
)
