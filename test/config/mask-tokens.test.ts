// Objectives with mask tokens: BEiT's defaults, what its second head reads, what a step costs, and what does not fit.
import { describe, expect, it } from 'vitest'
import { objectiveOf } from '../../src/config/assemble.ts'
import { dimensionsOf, earlyHeadOf, resolveConfig } from '../../src/config/resolve.ts'
import type { Config, ConfigInput } from '../../src/config/schema.ts'
import { stepProducts } from '../../src/config/step-cost.ts'
import { toyTokenizer } from '../target/toy-tokenizer.ts'

const model = { width: 24, depth: 8, heads: 3, imageSize: 16, patchSize: 4 } as const
const target = { tokenizer: 'vqkd', codes: 4 }
const beit = (more: ConfigInput = {}) =>
  resolveConfig({ objective: 'beit', model, target, ...more }) as Config<'beit'>
const beitv2 = (more: ConfigInput = {}) =>
  resolveConfig({ objective: 'beitv2', model, target, ...more }) as Config<'beitv2'>

describe('BEiT', () => {
  it('has the encoder and the mask of the paper unless others are asked for', () => {
    const { model: made, mask, target: wanted } = beit()
    expect(made).toMatchObject({
      ...{ positions: 'none', relativePositions: 'shared', qkvBias: 'qv', layerScale: 0.1 },
    })
    expect(mask).toMatchObject({ kind: 'block', ratio: 0.4 })
    expect(wanted).toEqual({ kind: 'codes', ...target })
    const other = beit({
      model: { ...model, positions: 'learned', relativePositions: null, layerScale: null },
      mask: { kind: 'random' },
    })
    expect(other.model).toMatchObject({ positions: 'learned', relativePositions: null, layerScale: null })
    expect(other.mask).toMatchObject({ kind: 'random', ratio: 0.4 })
    expect(resolveConfig({ model }).model).toMatchObject({
      ...{ positions: 'fixed', relativePositions: null, qkvBias: 'all', layerScale: null },
    })
  })

  it('is stored and read again as it is', () => {
    for (const config of [beit(), beitv2()]) expect(resolveConfig(config)).toEqual(config)
  })

  it('needs a tokenizer for codes, and none for another target', () => {
    expect(() => resolveConfig({ objective: 'beit', model })).toThrow(
      'target.tokenizer: expected the path of a run, a checkpoint or a .safetensors file of a tokenizer, and it is not set',
    )
    expect(beit({ target: { kind: 'pixels' } }).target.kind).toBe('pixels')
  })

  it.each(['mae', 'simmim', 'crossmae'] as const)('codes are a target of %s, too', (objective) => {
    const config = resolveConfig({ objective, model, target: { kind: 'codes', ...target } })
    const tokenizer = toyTokenizer(dimensionsOf(config))
    const models = { frozen: () => tokenizer as never, tokenizer: () => tokenizer }
    const { rows, metrics } = objectiveOf(config, 'cpu', { models })
    expect(rows.find(({ name }) => name === 'decoder_pred.bias')!.shape).toEqual([4])
    expect(metrics!.map(({ name }) => name)).toEqual(['codes', 'accuracy'])
  })

  it('reads early.* in BEiT v2 alone', () =>
    expect(() => beit({ early: { depth: 1 } })).toThrow(
      'early.depth is read only with objective=beitv2, and objective is beit',
    ))
})

describe('BEiT v2', () => {
  it.each([
    [12, 9],
    [8, 6],
    [1, 1],
  ])('of %d blocks reads the patches behind %d', (depth, layers) =>
    expect(earlyHeadOf(beitv2({ model: { ...model, depth } }))).toEqual({ layers, depth: 2, shared: true }),
  )

  it('has a second head in its objective and in the cost of a step', () => {
    const config = beitv2({ early: { layers: 3, depth: 1, shared: false } })
    const tokenizer = toyTokenizer(dimensionsOf(config))
    const models = { frozen: () => tokenizer as never, tokenizer: () => tokenizer }
    const { rows, groups } = objectiveOf(config, 'cpu', { models })
    const shapes = new Map(rows.map(({ name, shape }) => [name, shape]))
    expect(shapes.get('cls_pt_layers.0.attn.proj.weight')).toEqual([24, 24])
    expect(shapes.get('cls_pt_decoder_pred.weight')).toEqual([4, 24])
    expect(rows.find(({ name }) => name === 'cls_pt_layers.0.attn.proj.weight')!.initial).toEqual({
      uniform: 1 / Math.sqrt(24) / Math.sqrt(2 * 4),
    })
    expect(groups).toMatchObject([{ decay: 0 }])
    const products = stepProducts(config)
    const countOf = (start: string) =>
      products.filter(({ name }) => name === start).map(({ count, columns }) => [count, columns])
    expect(countOf('blocks.attn.qkv')).toEqual([[8, 72]])
    expect(countOf('cls_pt_layers.attn.qkv')).toEqual([[1, 72]])
    expect(countOf('decoder_pred')).toEqual([
      [1, 4],
      [1, 4],
    ])
  })

  it.each([
    [{ early: { layers: 9 } }, 'early.layers: expected a block from 1 to model.depth, 8, got 9'],
    [{ model: { ...model, cls: false } }, 'reads the cls token: expected model.cls true'],
  ])('refuses %j', (more, message) => expect(() => beitv2(more)).toThrow(message))
})
