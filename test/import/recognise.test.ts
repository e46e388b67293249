import { describe, expect, it } from 'vitest'
import { chooseWeights } from '../../src/import/choose-weights.ts'
import { recognise } from '../../src/import/recognise.ts'
import type { TorchTensor } from '../../src/import/torch-objects.ts'

const timm = ['cls_token', 'patch_embed.proj.weight', 'blocks.0.norm1.weight']
const under = (prefix: string, names: readonly string[] = timm) => names.map((name) => prefix + name)
const huggingface = [
  'embeddings.patch_embeddings.projection.weight',
  'encoder.layer.0.layernorm_before.weight',
]
const mmpretrain = ['patch_embed.projection.weight', 'layers.0.ln1.weight']

it.each<[string[], RegExp]>([
  [['videomae.embeddings.patch_embeddings.projection.weight'], /a VideoMAE.*computes something else/],
  [['blocks.0.attn.q_norm.weight'], /normalises queries and keys/],
  [under('backbone.', [...mmpretrain, 'pre_norm.weight']), /a norm before its blocks/],
  [[...timm, 'blocks.0.attn.norm.weight'], /other blocks/],
  [[...timm, 'blocks.0.attn.qkv.lora_A.default.weight'], /adapters/],
  [
    ['layer1.0.conv1.weight', 'fc.bias'],
    /its names \(layer1\.0\.conv1\.weight, fc\.bias, …\) are those of no layout/,
  ],
  [[], /no layout/],
])('%j are not taken for something else', (names, message) => {
  expect(() => recognise(names)).toThrow(message)
})

describe('what names begin with', () => {
  it.each<[string, string[], object]>([
    ['nothing', timm, { layout: 'timm', prefix: '', wrapper: '', outside: [] }],
    ['data parallel, compiled', under('module._orig_mod.'), { layout: 'timm', prefix: 'module._orig_mod.' }],
    ['any other word', under('vit.'), { layout: 'timm', prefix: 'vit.', wrapper: '' }],
    [
      'a part of a larger model',
      [...under('backbone.vit.'), 'decoder.mask_token'],
      { layout: 'timm', prefix: 'backbone.vit.', outside: ['decoder.mask_token'] },
    ],
    ["transformers' own", under('vit.', huggingface), { layout: 'huggingface', prefix: '', wrapper: 'vit.' }],
    [
      "transformers' own in another",
      [...under('model.vit.', huggingface), 'model.classifier.weight'],
      { layout: 'huggingface', prefix: 'model.', wrapper: 'vit.', outside: [] },
    ],
    [
      "MMPretrain's own",
      [...under('backbone.', mmpretrain), 'neck.mask_token'],
      { layout: 'mmpretrain', prefix: '', wrapper: 'backbone.', outside: [] },
    ],
  ])('is found: %s', (_, names, located) => {
    expect(recognise(names)).toMatchObject(located)
  })

  it('is asked for where several fit', () => {
    const both = [...under('student.'), ...under('teacher.')]
    expect(() => recognise(both)).toThrow(
      /more than one model \(timm.* under "student\."; timm.* under "teacher\."\).*--prefix/,
    )
    for (const given of ['teacher', 'teacher.'])
      expect(recognise(both, given)).toMatchObject({ prefix: 'teacher.', outside: under('student.') })
    expect(() => recognise(both, 'head')).toThrow(
      /no model is under the prefix "head": it holds timm.*student/,
    )
    expect(() => recognise(['a', 'b'], 'a')).toThrow(/of no layout/)
  })
})

describe('weights in what a training saved', () => {
  const tensor: TorchTensor = {
    ...{ kind: 'tensor', offset: 0, shape: [1], strides: [1] },
    storage: { kind: 'storage', key: '0', dtype: 'float32', elements: 1 },
  }
  const weights = (prefix = '') => new Map(under(prefix).map((name) => [name, tensor]))
  const momentum = new Map([['exp_avg', tensor]])
  const saved = (entries: Readonly<Record<string, unknown>>) => new Map(Object.entries(entries))

  it('are found under whatever name only one choice has', () => {
    const own = weights()
    const of = (root: unknown) => chooseWeights(root, null)
    expect(of(own)).toEqual({ value: own, notes: [] })
    expect(of(saved({ epoch: 1, model: own, optimizer: momentum }))).toEqual({ value: own, notes: [] })
    expect(of(saved({ params: own, optimizer: momentum }))).toEqual({
      ...{ value: own, notes: ['took the weights "params"'] },
    })
    expect(of(saved({ models: saved({ vit: own }) })).notes).toEqual(['took the weights "models.vit"'])
  })

  it('are the first of the usual names, and a note says which are there', () => {
    const [raw, ema] = [weights(), weights()]
    const { value, notes } = chooseWeights(saved({ state_dict_ema: ema, state_dict: raw }), null)
    expect(value).toBe(raw)
    expect(notes).toEqual([
      'took the weights "state_dict", not "state_dict_ema" (averaged weights): --take state_dict_ema takes those',
    ])
    const dino = chooseWeights(saved({ student: weights('module.'), teacher: ema }), null)
    expect(dino.value).toBe(ema)
    expect(dino.notes).toEqual(['took the weights "teacher", not "student": --take student takes those'])
  })

  it('are asked for where several fit and none has a usual name', () => {
    const root = saved({ a: weights(), b: weights('vit.') })
    expect(() => chooseWeights(root, null)).toThrow(/several sets of weights.*--take \(a, b\)/)
    expect(chooseWeights(root, 'b').value).toBe(root.get('b'))
    expect(() => chooseWeights(root, 'c')).toThrow(/nothing under "c".*under: a, b/)
    const deep = saved({ models: saved({ 'x.y': weights() }), 'a.b': weights() })
    expect(chooseWeights(deep, 'a.b').value).toBe(deep.get('a.b'))
  })
})
