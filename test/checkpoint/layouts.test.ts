import { describe, expect, it } from 'vitest'
import {
  type Layout,
  layoutNames,
  layouts,
  ourNameOf,
  recognise,
  theirNamesOf,
  withoutSharedPrefix,
} from '../../src/checkpoint/layouts.ts'

describe.each(layoutNames)('the layout %s', (name) => {
  const layout: Layout = layouts[name]
  const ours = [
    ...layout.modules.flatMap(([each]) =>
      ['weight', 'bias'].map((kind) => `${each.replace('{i}', '11')}.${kind}`),
    ),
    ...layout.tokens.map(([each]) => each),
  ]

  it('reads every name that it writes', () => {
    for (const parameter of ours) {
      const theirs = theirNamesOf(layout, parameter)!
      for (const [part, each] of theirs.entries())
        expect(ourNameOf(layout, each)).toEqual({ name: parameter, part, parts: theirs.length })
    }
  })

  it('has no name twice, and none of a table', () => {
    const all = ours.flatMap((parameter) => theirNamesOf(layout, parameter)!)
    expect(new Set(all).size).toBe(all.length)
    for (const table of [layout.positions, ...layout.tables]) expect(ourNameOf(layout, table)).toBeNull()
  })
})

it('names are those of the programs', () => {
  expect(theirNamesOf(layouts.huggingface, 'blocks.3.attn.qkv.weight')).toEqual([
    'encoder.layer.3.attention.attention.query.weight',
    'encoder.layer.3.attention.attention.key.weight',
    'encoder.layer.3.attention.attention.value.weight',
  ])
  expect(theirNamesOf(layouts.huggingface, 'decoder_blocks.0.mlp.fc2.bias')).toEqual([
    'decoder.decoder_layers.0.output.dense.bias',
  ])
  expect(theirNamesOf(layouts.satmae, 'decoder_pred.2.weight')).toEqual(['decoder_pred.2.weight'])
  expect(theirNamesOf(layouts.timm, 'decoder_embed.weight')).toBeNull()
  expect(ourNameOf(layouts.timm, 'blocks.0.ls1.gamma')).toBeNull()
  expect(ourNameOf(layouts.timm, 'head')).toBeNull()
})

it('what all names begin with is taken off, what some do is not', () => {
  const named = (...names: string[]) => new Map(names.map((name) => [name, 0]))
  expect([...withoutSharedPrefix(named('module.model.a', 'module.model.b')).keys()]).toEqual(['a', 'b'])
  expect([...withoutSharedPrefix(named('module.a', 'b')).keys()]).toEqual(['module.a', 'b'])
  expect(withoutSharedPrefix(named()).size).toBe(0)
})

it.each<[string[], RegExp]>([
  [['videomae.embeddings.patch_embeddings.projection.weight'], /a VideoMAE.*computes something else/],
  [['beit.encoder.layer.0.x'], /a BEiT/],
  [['blocks.0.attn.q_norm.weight'], /normalises queries and keys/],
  [
    ['layer1.0.conv1.weight', 'fc.bias'],
    /its names \(layer1\.0\.conv1\.weight, fc\.bias, …\) are those of no layout/,
  ],
  [[], /no layout/],
])('%j are not taken for something else', (names, message) => {
  expect(() => recognise(names)).toThrow(message)
})
