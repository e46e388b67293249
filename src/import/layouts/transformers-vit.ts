/** transformers' ViT, ViTMAE, ViTMSN and I-JEPA; and BEiT and data2vec, which add relative positions, scales, and no bias of keys. */
import { z } from 'zod'
import { relativeTables, type TransformersBlock, transformersBlocks } from './blocks.ts'
import { type Facts, field, readConfig, type Source } from './facts.ts'
import { type Layout, module, modules, type NameRow, outside, type Templates, token } from './layout.ts'
import { type ClassDefaults, transformersFacts } from './transformers-config.ts'

const block: TransformersBlock = {
  norms: ['layernorm_before', 'layernorm_after'],
  qkv: ['attention.attention.query', 'attention.attention.key', 'attention.attention.value'],
  proj: 'attention.output.dense',
  mlp: [...module('mlp.fc1', 'intermediate.dense'), ...module('mlp.fc2', 'output.dense')],
}

const plain = { activation: 'gelu', heads: 12, resampling: 'cubic' } as const
const classes: Readonly<Record<string, ClassDefaults>> = {
  vit: { ...plain, family: 'vit', epsilon: 1e-12, feature: 'cls' },
  vit_mae: { ...plain, family: 'mae', epsilon: 1e-12, feature: 'mean' },
  vit_msn: { ...plain, family: 'msn', epsilon: 1e-6, feature: 'cls' },
  ijepa: { ...plain, family: 'ijepa', epsilon: 1e-12, feature: 'mean', model: { cls: false } }, // releases say 1e-6
}

const vitSchema = z.object({
  qkv_bias: field.flag,
  mask_ratio: z.number().min(0).max(1).optional(),
  norm_pix_loss: field.flag,
  decoder_num_attention_heads: field.heads,
})

function vitFacts(source: Source): Facts {
  const facts = transformersFacts(source, classes, (config) => {
    const given = readConfig(vitSchema, config, `${source.path}, config.json`)
    const hasBias = given.qkv_bias ?? (source.config ? true : undefined)
    return {
      model: { ...(hasBias !== undefined && { qkvBias: hasBias ? 'all' : 'none' }) },
      decoderHeads: given.decoder_num_attention_heads ?? null,
      maskRatio: given.mask_ratio || null,
      normalizeTarget: given.norm_pix_loss ?? null,
      notes:
        given.mask_ratio === 0
          ? [
              'config.json says mask_ratio 0, with which nothing would be hidden in training: left to mask.ratio',
            ]
          : [],
    }
  })
  // Without a configuration: only I-JEPA has no cls token, and ViTMAE alone a decoder.
  const hasCls = source.has('cls_token') || source.config !== null
  return hasCls
    ? facts
    : { ...facts, family: 'ijepa', model: { ...facts.model, cls: false, feature: 'mean' } }
}

const encoder: readonly NameRow[] = [
  ...module('patch_embed.proj', 'embeddings.patch_embeddings.projection'),
  token('cls_token', 'embeddings.cls_token'),
  ...module('norm', 'layernorm'),
]
const head = outside(module('head', 'classifier'))
/** `blocks`: `decoder.decoder_layers` of transformers 4, which releases have, or `decoder.decoder_encoder.layer` of 5. */
const decoder = (blocks: string): NameRow[] =>
  outside([
    ...module('decoder_embed', 'decoder.decoder_embed'),
    ...transformersBlocks('decoder_blocks', blocks, block),
    ...module('decoder_norm', 'decoder.decoder_norm'),
    ...module('decoder_pred', 'decoder.decoder_pred'),
    token('mask_token', 'decoder.mask_token'),
  ])

const hasBlock = (names: Templates) =>
  names.any(
    ...['layernorm_before', 'layernorm_after', 'intermediate.dense', 'output.dense'].flatMap((name) =>
      ['weight', 'bias'].map((kind) => `encoder.layer.{i}.${name}.${kind}`),
    ),
  )

const base = {
  blocks: 'encoder.layer.',
  positions: { name: 'embeddings.position_embeddings' },
  tables: [],
  unused: [
    [/^pooler\.dense\./, 'the pooler, which most releases leave untrained'],
    [/^embeddings\.mask_token$/, 'stands for hidden patches in its pretraining'],
    [/^embeddings\.position_ids$|relative_position_index$/, 'computed here'],
  ],
} as const

const vit = {
  ...base,
  wrappers: ['vit.', 'ijepa.', ''],
  decoderPositions: 'decoder.decoder_pos_embed',
  facts: vitFacts,
} as const

const beitPlain = { ...plain, epsilon: 1e-12, feature: 'mean' } as const
const beitClasses: Readonly<Record<string, ClassDefaults>> = {
  beit: { ...beitPlain, family: 'beit' },
  'data2vec-vision': { ...beitPlain, family: 'data2vec' },
}

const beitSchema = z.object({
  use_absolute_position_embeddings: field.flag,
  use_relative_position_bias: field.flag,
  use_shared_relative_position_bias: field.flag,
  use_mean_pooling: field.flag,
  layer_scale_init_value: z.number().min(0).optional(),
})

function beitFacts(source: Source): Facts {
  const what = `${source.path}, config.json`
  const hasConfig = source.config !== null
  const facts = transformersFacts(source, beitClasses, (config) => {
    const given = readConfig(beitSchema, config, what)
    const [own, shared] = [given.use_relative_position_bias, given.use_shared_relative_position_bias]
    const tables = own ? (shared ? 'both' : 'per-block') : shared ? 'shared' : null
    const scale = given.layer_scale_init_value ?? 0.1
    const size = (config as { image_size?: unknown }).image_size
    const isExchanged = tables !== null && Array.isArray(size) && size[0] !== size[1]
    const isBare = !hasConfig || Boolean(given.use_absolute_position_embeddings)
    return {
      model: {
        qkvBias: 'qv',
        ...(hasConfig && { relativePositions: tables, ...(scale > 0 && { layerScale: scale }) }),
        ...(!isBare && { positions: 'none' as const }),
      },
      ...(isExchanged && {
        exchangesSides: true,
        notes: [
          'transformers reads tables of relative positions with the sides of a grid that is no square exchanged, and then resamples them: computed so here',
        ],
      }),
      // A file for pretraining has a norm of tokens, whatever it says of pooling.
      norm:
        source.has('norm.weight') || source.has('norm.bias')
          ? 'norm'
          : (given.use_mean_pooling ?? true)
            ? 'fc_norm'
            : 'norm',
    }
  })
  // Data2VecVisionModel has no pooler unless it is asked for, and no other norm.
  const isBare = facts.family === 'data2vec' && facts.norm === 'fc_norm' && !source.has('fc_norm.weight')
  if (!isBare || source.has('fc_norm.bias')) return facts
  return {
    ...facts,
    plainNorm: true,
    notes: [
      ...facts.notes,
      'no norm stands behind its blocks: the mean of the patches is normed without learned numbers, as the pooler that transformers makes does',
    ],
  }
}

/** BEiT and data2vec. */
const beit = {
  ...base,
  title: "Hugging Face's BEiT and data2vec",
  wrappers: ['beit.', 'data2vec_vision.', ''],
  rows: [
    ...encoder,
    ...transformersBlocks('blocks', 'encoder.layer', block, 'qv'),
    ...[1, 2].map((n) => token(`blocks.{i}.ls${n}.gamma`, `encoder.layer.{i}.lambda_${n}`)),
    ...relativeTables(
      'encoder.layer.{i}.attention.attention.relative_position_bias',
      'encoder.relative_position_bias',
    ),
    ...module('fc_norm', 'pooler.layernorm'),
    ...head,
  ],
  decoderPositions: null,
  unused: [
    ...base.unused,
    [/^lm_head\.|^layernorm\./, 'what predicts codes in its pretraining'], // `layernorm` beside the encoder, which has its own
    [/^(?:decode_head|auxiliary_head|fpn\d|fpn)\./, 'what segments images'],
  ],
  facts: beitFacts,
} as const

export const transformersVitLayouts = {
  'huggingface-beit': {
    ...beit,
    isOf: (names) =>
      hasBlock(names) &&
      names.any(
        ...['encoder.layer.{i}.lambda_1', 'encoder.layer.{i}.lambda_2', 'pooler.layernorm.weight'],
        'encoder.layer.{i}.attention.attention.relative_position_bias.relative_position_bias_table',
        'encoder.relative_position_bias.relative_position_bias_table',
      ),
    variantBy: (shapeOf) => {
      const [own, pooler, beside] = ['layernorm.weight', 'pooler.layernorm.weight', '/layernorm.weight'].map(
        shapeOf,
      )
      return beside && !own && !pooler ? 'huggingface-beit-codes' : null
    },
  },
  /** Released for predicting codes: the encoder's norm stands beside it. */
  'huggingface-beit-codes': {
    ...beit,
    isOf: () => false,
    rows: beit.rows.map((row) => (row.ours[0]!.startsWith('norm.') ? { ...row, isOutside: true } : row)),
  },
  /** ViTMAE with the names that transformers 5 gives its decoder. */
  'huggingface-5': {
    ...vit,
    title: 'Hugging Face ViTMAE (transformers 5)',
    isOf: (names) => hasBlock(names) && names.any(...decoderNames('decoder.decoder_encoder.layer')),
    rows: [
      ...encoder,
      ...transformersBlocks('blocks', 'encoder.layer', block),
      ...decoder('decoder.decoder_encoder.layer'),
    ],
  },
  huggingface: {
    ...vit,
    title: 'Hugging Face ViT and ViTMAE',
    isOf: hasBlock,
    rows: [
      ...encoder,
      ...transformersBlocks('blocks', 'encoder.layer', block),
      ...decoder('decoder.decoder_layers'),
      ...head,
    ],
  },
} as const satisfies Record<string, Layout>

function decoderNames(blocks: string): string[] {
  return modules(`${blocks}.{i}.layernorm_before`, `${blocks}.{i}.layernorm_after`).flatMap(
    ({ theirs }) => theirs,
  )
}
