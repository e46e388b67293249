import { describe, expect, it } from 'vitest'
import type { FloatArray } from '../../src/checkpoint/arrays.ts'
import {
  asConvolution,
  bareToken,
  type Change,
  maskedBias,
  stacked,
  transposed,
} from '../../src/import/layouts/changes.ts'
import { inTheirNames, rowOf, templateOf } from '../../src/import/layouts/layout.ts'
import { type Layout, layoutNames, layouts, theirNamesOf } from '../../src/import/layouts.ts'

const array = (shape: readonly number[], ...data: readonly number[]): FloatArray => ({
  ...{ shape, data: Float32Array.from(data) },
})

describe.each(layoutNames)('the layout %s', (name) => {
  const layout: Layout = layouts[name]

  it('reads every name that it writes', () => {
    for (const row of layout.rows)
      for (const [part, theirs] of row.theirs.entries())
        expect(rowOf(layout, theirs.replace('{i}', '11'))).toMatchObject({ row: { ours: row.ours }, part })
  })

  it('has no name twice, and none of a table', () => {
    for (const side of ['ours', 'theirs'] as const) {
      const all = layout.rows.flatMap((row) => row[side])
      expect(new Set(all).size).toBe(all.length)
    }
    for (const table of [layout.positions?.name, ...layout.tables])
      if (table !== undefined) expect(rowOf(layout, table)).toBeNull()
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
  expect(rowOf(layouts.timm, 'blocks.0.gamma_1')).toBeNull()
  expect(theirNamesOf(layouts['timm-eva-gate'], 'blocks.2.mlp.w2.bias')).toEqual(['blocks.2.mlp.fc1_x.bias'])
  expect(theirNamesOf(layouts['huggingface-beit'], 'blocks.1.attn.v_bias')).toEqual([
    'encoder.layer.1.attention.attention.value.bias',
  ])
})

it('block numbers run on across chunks', () => {
  expect(templateOf('blocks.1.7.attn.qkv.weight')).toEqual({
    ...{ template: 'blocks.{i}.attn.qkv.weight', number: '7' },
  })
  expect(templateOf('layers.3.ffn.layers.0.0.weight').template).toBe('layers.{i}.ffn.layers.0.0.weight')
})

describe('what parameters are made of', () => {
  /** What is read, and the same written again. */
  const both = (change: Change, theirs: readonly FloatArray[]) => {
    const shapes = change.shapes(theirs.map(({ shape }) => shape))!
    const ours = change.read(theirs).map((data, i) => ({ shape: shapes[i]!, data }))
    return { ours: ours.map(({ shape, data }) => [shape, [...data]]), back: change.write!(ours) }
  }

  it('is cut and joined by rows', () => {
    const [q, k, v] = [array([1, 2], 1, 2), array([1, 2], 3, 4), array([1, 2], 5, 6)]
    const joined = both(stacked([1], [1, 1, 1]), [q, k, v])
    expect(joined.ours).toEqual([
      [
        [3, 2],
        [1, 2, 3, 4, 5, 6],
      ],
    ])
    expect(joined.back).toEqual([q, k, v])
    const whole = array([3], 1, 2, 3)
    const cut = both(stacked([1, 2], [3]), [whole])
    expect(cut.ours).toEqual([
      [[1], [1]],
      [[2], [2, 3]],
    ])
    expect(cut.back).toEqual([whole])
    expect(
      stacked([1], [1, 1]).shapes([
        [2, 3],
        [1, 3],
      ]),
    ).toBeNull()
    expect(stacked([1, 2], [3]).shapes([[4]])).toBeNull()
  })

  it('is turned: a matrix, a bare token, a map of patches', () => {
    const matrix = array([2, 3], 1, 2, 3, 4, 5, 6)
    const turned = both(transposed, [matrix])
    expect(turned.ours).toEqual([
      [
        [3, 2],
        [1, 4, 2, 5, 3, 6],
      ],
    ])
    expect(turned.back).toEqual([matrix])
    const token = array([2], 7, 8)
    expect(both(bareToken, [token])).toEqual({
      ours: [
        [
          [1, 1, 2],
          [7, 8],
        ],
      ],
      back: [token],
    })
    // One patch of 2 × 2: pixel by pixel red, green, blue there; colour by colour here.
    const patch = array([1, 12], 11, 21, 31, 12, 22, 32, 13, 23, 33, 14, 24, 34)
    const convolution = both(asConvolution, [patch])
    expect(convolution.ours).toEqual([
      [
        [1, 3, 2, 2],
        [11, 12, 13, 14, 21, 22, 23, 24, 31, 32, 33, 34],
      ],
    ])
    expect(convolution.back).toEqual([patch])
    expect(asConvolution.shapes([[1, 15]])).toBeNull()
  })

  it('is a bias behind its mask, which may hide what is no number', () => {
    const mask = array([6], 1, 1, 0, 0, 1, 1)
    expect(maskedBias.read([array([6], 1, 2, Number.NaN, 4, 5, 6), mask]).map((part) => [...part])).toEqual([
      [1, 2],
      [5, 6],
    ])
    expect(() => maskedBias.read([array([6], 1, 2, 3, 4, 5, 6), array([6], 1, 1, 1, 1, 1, 1)])).toThrow(
      /leaves keys a bias/,
    )
  })

  it('is written under the names of the layout, and what it has no name for is said', () => {
    const { arrays, lacking } = inTheirNames(
      layouts['huggingface-clip'],
      new Map([
        ['cls_token', array([1, 1, 2], 1, 2)],
        ['projection.weight', array([1, 2], 3, 4)],
        ['register_tokens', array([1, 1, 2], 5, 6)],
      ]),
      'vision_model.',
    )
    expect([...arrays]).toEqual([
      ['vision_model.embeddings.class_embedding', array([2], 1, 2)],
      ['visual_projection.weight', array([1, 2], 3, 4)],
    ])
    expect(lacking).toEqual(['register_tokens'])
  })
})
