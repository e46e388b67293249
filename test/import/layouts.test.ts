import { describe, expect, it } from 'vitest'
import { type Layout, layoutNames, layouts, ourNameOf, theirNamesOf } from '../../src/import/layouts.ts'

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
  expect(theirNamesOf(layouts.mmpretrain, 'blocks.11.mlp.fc1.weight')).toEqual([
    'layers.11.ffn.layers.0.0.weight',
  ])
  expect(theirNamesOf(layouts.mmpretrain, 'norm.bias')).toEqual(['ln1.bias'])
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
