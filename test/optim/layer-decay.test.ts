import { expect, it } from 'vitest'
import { adamWStep, initialAdamW } from '../../src/optim/adamw.ts'
import { layerDecay, layerOf } from '../../src/optim/layer-decay.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose } from '../tolerance.ts'

it('scales of a network of three blocks are powers of the decay by layer', () => {
  const scale = layerDecay(0.5, 3)
  const expected = {
    cls_token: 1 / 16,
    'patch_embed.proj.weight': 1 / 16,
    'blocks.0.norm1.weight': 1 / 8,
    'blocks.1.mlp.fc2.bias': 1 / 4,
    'blocks.2.attn.qkv.weight': 1 / 2,
    'norm.weight': 1,
    'fc_norm.bias': 1,
    'head.weight': 1,
  }
  for (const [name, value] of Object.entries(expected)) expect([name, scale(name)]).toEqual([name, value])
  expect(layerOf('blocks.11.attn.proj.bias', 24)).toBe(12) // ViT-Large, as the reference counts
})

it.each(['native', 'composed'] as const)('AdamW takes the scale as the rate of a parameter, %s', (kernel) =>
  scope(() => {
    const make = () => new Map(['a', 'b', 'c'].map((name, i) => [name, tensor([1, -2, 3 + i], [1, 3])]))
    const options = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 }
    const gradients = () => [1, 2, 3].map((g) => tensor([g, -g, 0.5 * g], [1, 3]))
    const scaled = make()
    const scales = { a: 1, b: 0.25, c: 1 } as Record<string, number>
    const state = initialAdamW(scaled)
    const given = { ...options, learningRate: 0.1, scaleOf: (name: string) => scales[name]! }
    for (let i = 0; i < 3; i++) adamWStep(scaled, gradients(), state, given, kernel)
    for (const [i, [name, value]] of [...scaled].entries()) {
      const alone = new Map([[name, make().get(name)!]])
      const own = initialAdamW(alone)
      for (let step = 0; step < 3; step++)
        adamWStep(alone, [gradients()[i]!], own, { ...options, learningRate: 0.1 * scales[name]! }, kernel)
      expectClose(value, alone.get(name)!, 1e-7)
    }
  }),
)
