/** transformers' CLIP, SigLIP and SigLIP 2, with both towers or that of images alone; and OpenCLIP's own files. */
import { z } from 'zod'
import { splitPool, type TransformersBlock, transformersBlocks } from './blocks.ts'
import { asConvolution, bareToken, renamed, transposed } from './changes.ts'
import { type Facts, field, pairOf, readConfig, type Source } from './facts.ts'
import { type Layout, module, type NameRow, outside, type Templates, token } from './layout.ts'
import { type ClassDefaults, transformersFacts } from './transformers-config.ts'

const block: TransformersBlock = {
  norms: ['layer_norm1', 'layer_norm2'],
  qkv: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
  proj: 'self_attn.out_proj',
  mlp: [...module('mlp.fc1'), ...module('mlp.fc2')],
}

const textTower = [
  [/^(?:text_model|text_projection)\b|^logit_(?:scale|bias)$/, 'the tower of texts'],
  [/^embeddings\.position_ids$/, 'computed here'],
] as const

const clip = {
  family: 'clip',
  activation: 'quick_gelu',
  epsilon: 1e-5,
  heads: 12,
  resampling: 'cubic',
  feature: 'cls',
} as const
const clipModel = { patchBias: false, preNorm: true } as const
const clipClasses: Readonly<Record<string, ClassDefaults>> = {
  clip_vision_model: { ...clip, model: clipModel },
  clip: { ...clip, model: clipModel },
}

const clipSchema = z.object({ projection_dim: field.width })

/** Of the whole model, beside that of the tower of images: its own counts. */
const projected = /^CLIP(?:Model|VisionModelWithProjection)$/

function clipFacts(source: Source): Facts {
  const facts = transformersFacts(source, clipClasses)
  const given = readConfig(clipSchema, source.config ?? {}, `${source.path}, config.json`)
  const isProjected =
    facts.architectures.some((name) => projected.test(name)) || source.has('projection.weight')
  const found = source.shapeOf('projection.weight')?.[0]
  const width = given.projection_dim ?? found ?? 512
  // transformers' defaults are OpenAI's, and laion's files have gelu: without a configuration nothing says which.
  const isOpen = source.config === null
  const { activation: _, ...rest } = facts.model
  return {
    ...facts,
    model: {
      ...(isOpen ? rest : facts.model),
      ...(isProjected && { projection: width, feature: 'pooled' as const }),
    },
    open: isOpen
      ? [
          ...facts.open.filter(({ key }) => key !== 'model.activation'),
          { key: 'model.activation', options: ["quick-gelu (OpenAI's)", "gelu (laion's)"] },
        ]
      : facts.open,
  }
}

const siglip = {
  activation: 'gelu_pytorch_tanh',
  epsilon: 1e-6,
  heads: 12,
  feature: 'pooled',
  model: { cls: false },
} as const
const one = { ...siglip, family: 'siglip', resampling: 'cubic' } as const
const two = { ...siglip, family: 'siglip2', resampling: 'linear-antialias' } as const
const siglipClasses: Readonly<Record<string, ClassDefaults>> = {
  siglip_vision_model: one,
  siglip: one,
  siglip2_vision_model: two,
  siglip2: two,
}

const siglipSchema = z.object({
  vision_use_head: field.flag,
  num_patches: z.number().int().positive().max(65_536).optional(),
  patch_size: field.patchSize,
})

function siglipFacts(source: Source): Facts {
  return transformersFacts(source, siglipClasses, (config) => {
    const given = readConfig(siglipSchema, config, `${source.path}, config.json`)
    const [side] = pairOf(given.patch_size) ?? []
    const places = given.num_patches === undefined ? 0 : Math.sqrt(given.num_patches)
    const hasPool = source.config ? (given.vision_use_head ?? true) : undefined
    return {
      model: {
        ...(hasPool !== undefined && { attentionPool: hasPool }),
        ...(hasPool === false && { feature: 'mean' as const }),
      },
      ...(side &&
        Number.isInteger(places) &&
        places > 0 && { imageSize: { size: [places * side, places * side], isOfTable: true } }),
    }
  })
}

const encoder: readonly NameRow[] = [
  ...transformersBlocks('blocks', 'encoder.layers', block),
  ...module('norm', 'post_layernorm'),
]

const hasBlock = (names: Templates) =>
  !names.any('embeddings.token_embedding.weight', 'final_layer_norm.weight') &&
  names.any(
    ...['layer_norm1', 'layer_norm2'].flatMap((name) =>
      ['weight', 'bias'].map((kind) => `encoder.layers.{i}.${name}.${kind}`),
    ),
  )

const base = {
  wrappers: ['vision_model.', ''],
  blocks: 'encoder.layers.',
  positions: { name: 'embeddings.position_embedding.weight', isBare: true },
  decoderPositions: null,
  tables: [],
  unused: textTower,
} as const

const siglipRows = (patch: NameRow): NameRow[] => [
  patch,
  token('patch_embed.proj.bias', 'embeddings.patch_embedding.bias'),
  ...encoder,
  token('attn_pool.latent', 'head.probe'),
  ...splitPool('head.attention'),
  ...module('attn_pool.proj', 'head.attention.out_proj'),
  ...module('attn_pool.norm', 'head.layernorm'),
  ...module('attn_pool.mlp.fc1', 'head.mlp.fc1'),
  ...module('attn_pool.mlp.fc2', 'head.mlp.fc2'),
]

const patchName = 'embeddings.patch_embedding.weight'

export const transformersClipLayouts = {
  'huggingface-clip': {
    ...base,
    title: "Hugging Face's CLIP",
    isOf: (names) =>
      hasBlock(names) && names.any('embeddings.class_embedding', 'pre_layrnorm.weight', 'pre_layrnorm.bias'),
    rows: [
      token('patch_embed.proj.weight', patchName),
      token('cls_token', 'embeddings.class_embedding', bareToken),
      ...module('norm_pre', 'pre_layrnorm'),
      ...encoder,
      ...outside([token('projection.weight', 'visual_projection.weight')]),
    ],
    facts: clipFacts,
  },
  'huggingface-siglip': {
    ...base,
    title: "Hugging Face's SigLIP",
    isOf: hasBlock,
    rows: siglipRows(token('patch_embed.proj.weight', patchName, renamed)),
    facts: siglipFacts,
    variantBy: (shapeOf) => (shapeOf(patchName)?.length === 2 ? 'huggingface-naflex' : null),
  },
  /** Its patches are embedded by a linear map, as is seen from its shape. */
  'huggingface-naflex': {
    ...base,
    title: "Hugging Face's SigLIP 2 (NaFlex)",
    isOf: () => false,
    rows: siglipRows(token('patch_embed.proj.weight', patchName, asConvolution)),
    facts: siglipFacts,
  },
} as const satisfies Record<string, Layout>

const openClipSchema = z.object({
  model_cfg: z
    .object({
      embed_dim: field.width,
      quick_gelu: field.flag,
      vision_cfg: z
        .object({
          image_size: field.imageSize,
          layers: field.depth,
          width: field.width,
          head_width: field.width,
          patch_size: field.patchSize,
          mlp_ratio: z.number().positive().optional(),
          ls_init_value: z.number().nullish(),
          pool_type: z
            .literal('tok', { error: 'expected "tok", the cls token, which alone is read' })
            .optional(),
          pos_embed_type: z.literal('learnable', { error: 'expected "learnable"' }).optional(),
          act_kwargs: z.object({ approximate: z.string().optional() }).nullish(),
          norm_kwargs: z.object({ eps: field.epsilon }).nullish(),
        })
        .optional(),
    })
    .optional(),
})

function openClipFacts(source: Source): Facts {
  const what = `${source.path}, open_clip_config.json`
  const { model_cfg: model = {} } = readConfig(openClipSchema, source.openClip ?? {}, what)
  const vision = model.vision_cfg ?? {}
  const size = pairOf(vision.image_size)
  const width = vision.width ?? source.shapeOf('blocks.{i}.norm1.weight')?.[0]
  const hasConfig = source.openClip !== null
  return {
    family: 'clip',
    model: {
      ...clipModel,
      layerNormEpsilon: vision.norm_kwargs?.eps ?? 1e-5,
      ...{ resampling: 'cubic-antialias', feature: 'pooled' },
      ...(model.quick_gelu
        ? { activation: 'quick-gelu' as const }
        : vision.act_kwargs?.approximate === 'tanh' && { activation: 'gelu-tanh' as const }),
      ...(hasConfig && width !== undefined && { heads: Math.floor(width / (vision.head_width ?? 64)) }),
      projection: model.embed_dim ?? source.shapeOf('projection.weight')?.[0] ?? 512,
    },
    open: hasConfig
      ? []
      : [{ key: 'model.activation', options: ["quick-gelu (OpenAI's)", "gelu (laion's)"] }],
    stated: {
      ...{ width: vision.width, depth: vision.layers, patchSize: pairOf(vision.patch_size) },
      projection: model.embed_dim,
    },
    imageSize: size ? { size, isOfTable: true } : null,
    keepsTable: true,
    notes: [],
  }
}

const inProjection = (theirs: string): NameRow[] =>
  (['weight', 'bias'] as const).map((kind) =>
    token(`blocks.{i}.attn.qkv.${kind}`, `${theirs}.in_proj_${kind}`),
  )

export const openClipLayouts = {
  openclip: {
    title: 'OpenCLIP',
    wrappers: ['visual.'],
    blocks: 'transformer.resblocks.',
    isOf: (names) =>
      names.any('conv1.weight', 'ln_pre.weight', 'class_embedding') &&
      names.any('transformer.resblocks.{i}.ln_1.weight', 'transformer.resblocks.{i}.ln_1.bias'),
    rows: [
      token('patch_embed.proj.weight', 'conv1.weight'),
      token('cls_token', 'class_embedding', bareToken),
      ...module('norm_pre', 'ln_pre'),
      ...module('blocks.{i}.norm1', 'transformer.resblocks.{i}.ln_1'),
      ...inProjection('transformer.resblocks.{i}.attn'),
      ...module('blocks.{i}.attn.proj', 'transformer.resblocks.{i}.attn.out_proj'),
      ...module('blocks.{i}.norm2', 'transformer.resblocks.{i}.ln_2'),
      ...module('blocks.{i}.mlp.fc1', 'transformer.resblocks.{i}.mlp.c_fc'),
      ...module('blocks.{i}.mlp.fc2', 'transformer.resblocks.{i}.mlp.c_proj'),
      ...module('norm', 'ln_post'),
      token('projection.weight', 'proj', transposed),
    ],
    positions: { name: 'positional_embedding', isBare: true },
    decoderPositions: null,
    tables: [],
    unused: [
      [
        /^(?:transformer\.|token_embedding\.|ln_final\.|positional_embedding$|text_projection$|logit_scale$|logit_bias$|attn_mask$|text\.|input_resolution$|context_length$|vocab_size$)/,
        'the tower of texts',
      ],
    ],
    facts: openClipFacts,
  },
} as const satisfies Record<string, Layout>
