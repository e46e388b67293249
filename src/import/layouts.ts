/**
 * Parameter names of other programs' ViTs, as a table for import and export. A row pairs one of our modules with theirs; three of theirs
 * are query, key and value, which ours concatenates. Position tables are separate, since fixed ones are not parameters of ours.
 */
import type { ResamplingName } from '../token/resample-positions.ts'

/** `{i}` is a block index, the same on both sides. */
type Pair = readonly [ours: string, theirs: string | readonly [query: string, key: string, value: string]]

export interface Layout {
  readonly title: string
  /** Prefix of the encoder in models with more than an encoder. */
  readonly wrapper: string
  /** A name that every model of the layout has; what precedes it is the model's prefix. */
  readonly anchor: string
  readonly hasNames: (has: (name: string) => boolean) => boolean
  /** Modules with `.weight` and `.bias`. */
  readonly modules: readonly Pair[]
  /** Parameters by full name. */
  readonly tokens: readonly Pair[]
  readonly positions: string
  readonly decoderPositions: string | null
  /** Other tables that are recomputed at load time. */
  readonly tables: readonly string[]
  /** How the program resamples its learned positions. */
  readonly resampling: ResamplingName
  /** Default if the configuration does not state it. */
  readonly layerNormEpsilon: number
}

const same = (...names: readonly string[]): Pair[] => names.map((name) => [name, name])

const blockParts = ['norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2']
const ownBlocks = (prefix: string) => same(...blockParts.map((part) => `${prefix}.{i}.${part}`))

const ownEncoder = [...ownBlocks('blocks'), ...same('norm')]
const ownDecoder = [...same('decoder_embed', 'decoder_norm'), ...ownBlocks('decoder_blocks')]
const ownHeads = same('fc_norm', 'head')

const transformersBlocks = (ours: string, theirs: string): Pair[] => [
  [`${ours}.{i}.norm1`, `${theirs}.{i}.layernorm_before`],
  [
    `${ours}.{i}.attn.qkv`,
    [
      `${theirs}.{i}.attention.attention.query`,
      `${theirs}.{i}.attention.attention.key`,
      `${theirs}.{i}.attention.attention.value`,
    ],
  ],
  [`${ours}.{i}.attn.proj`, `${theirs}.{i}.attention.output.dense`],
  [`${ours}.{i}.norm2`, `${theirs}.{i}.layernorm_after`],
  [`${ours}.{i}.mlp.fc1`, `${theirs}.{i}.intermediate.dense`],
  [`${ours}.{i}.mlp.fc2`, `${theirs}.{i}.output.dense`],
]

export const layouts = {
  /** facebookresearch/mae and sherd, which share names. */
  mae: {
    title: 'facebookresearch/mae',
    wrapper: '',
    anchor: 'patch_embed.proj.weight',
    hasNames: (has) => has('patch_embed.proj.weight') && has('decoder_embed.weight'),
    modules: [...same('patch_embed.proj', 'decoder_pred'), ...ownEncoder, ...ownDecoder],
    tokens: same('cls_token', 'mask_token'),
    positions: 'pos_embed',
    decoderPositions: 'decoder_pos_embed',
    tables: [],
    resampling: 'cubic',
    layerNormEpsilon: 1e-6,
  },
  satmae: {
    title: 'SatMAE, groups of bands',
    wrapper: '',
    anchor: 'patch_embed.0.proj.weight',
    hasNames: (has) => has('patch_embed.0.proj.weight') && has('blocks.0.norm1.weight'),
    modules: [...same('patch_embed.{i}.proj', 'decoder_pred.{i}'), ...ownEncoder, ...ownDecoder],
    tokens: same('cls_token', 'mask_token'),
    positions: 'pos_embed',
    decoderPositions: 'decoder_pos_embed',
    tables: ['channel_embed', 'decoder_channel_embed'],
    resampling: 'cubic',
    layerNormEpsilon: 1e-6,
  },
  timm: {
    title: "timm's VisionTransformer",
    wrapper: '',
    anchor: 'patch_embed.proj.weight',
    hasNames: (has) =>
      has('patch_embed.proj.weight') && has('blocks.0.norm1.weight') && !has('decoder_embed.weight'),
    modules: [...same('patch_embed.proj'), ...ownEncoder, ...ownHeads],
    tokens: same('cls_token'),
    positions: 'pos_embed',
    decoderPositions: null,
    tables: [],
    resampling: 'cubic-antialias',
    layerNormEpsilon: 1e-6,
  },
  huggingface: {
    title: 'Hugging Face ViT and ViTMAE',
    wrapper: 'vit.',
    anchor: 'embeddings.patch_embeddings.projection.weight',
    hasNames: (has) =>
      has('embeddings.patch_embeddings.projection.weight') && has('encoder.layer.0.layernorm_before.weight'),
    modules: [
      ['patch_embed.proj', 'embeddings.patch_embeddings.projection'],
      ...transformersBlocks('blocks', 'encoder.layer'),
      ['norm', 'layernorm'],
      ['decoder_embed', 'decoder.decoder_embed'],
      ...transformersBlocks('decoder_blocks', 'decoder.decoder_layers'),
      ['decoder_norm', 'decoder.decoder_norm'],
      ['decoder_pred', 'decoder.decoder_pred'],
      ['head', 'classifier'],
    ],
    tokens: [
      ['cls_token', 'embeddings.cls_token'],
      ['mask_token', 'decoder.mask_token'],
    ],
    positions: 'embeddings.position_embeddings',
    decoderPositions: 'decoder.decoder_pos_embed',
    tables: [],
    resampling: 'cubic',
    layerNormEpsilon: 1e-12,
  },
  mmpretrain: {
    title: 'MMPretrain',
    wrapper: 'backbone.',
    anchor: 'patch_embed.projection.weight',
    hasNames: (has) => has('patch_embed.projection.weight') && has('layers.0.ln1.weight'),
    modules: [
      ['patch_embed.proj', 'patch_embed.projection'],
      ['blocks.{i}.norm1', 'layers.{i}.ln1'],
      ['blocks.{i}.attn.qkv', 'layers.{i}.attn.qkv'],
      ['blocks.{i}.attn.proj', 'layers.{i}.attn.proj'],
      ['blocks.{i}.norm2', 'layers.{i}.ln2'],
      ['blocks.{i}.mlp.fc1', 'layers.{i}.ffn.layers.0.0'],
      ['blocks.{i}.mlp.fc2', 'layers.{i}.ffn.layers.1'],
      ['norm', 'ln1'],
      ['head', 'head.layers.head'],
    ],
    tokens: same('cls_token'),
    positions: 'pos_embed',
    decoderPositions: null,
    tables: [],
    resampling: 'cubic',
    layerNormEpsilon: 1e-6,
  },
} as const satisfies Record<string, Layout>

export type LayoutName = keyof typeof layouts
export const layoutNames = Object.keys(layouts) as LayoutName[]

/** `blocks.3.norm1` → `blocks.{i}.norm1` and 3. */
function templateOf(name: string): { readonly template: string; readonly number: string } {
  const number = name.match(/(?<=^|\.)\d+(?=\.|$)/)?.[0] ?? ''
  return { template: name.replace(/(?<=^|\.)\d+(?=\.|$)/, '{i}'), number }
}

const kindOf = (name: string) => name.match(/\.(?:weight|bias)$/)?.[0] ?? ''

/** Our parameter for one of theirs, which is number `part` of its `parts`. */
export interface OurName {
  readonly name: string
  readonly part: number
  readonly parts: number
}

/** Our name for one of theirs (without the wrapper), or null. */
export function ourNameOf({ modules, tokens }: Layout, theirs: string): OurName | null {
  const kind = kindOf(theirs)
  const { template, number } = templateOf(theirs.slice(0, theirs.length - kind.length))
  for (const [ours, names] of kind ? modules : tokens) {
    const all = typeof names === 'string' ? [names] : names
    const part = all.indexOf(template)
    if (part >= 0) return { name: ours.replace('{i}', number) + kind, part, parts: all.length }
  }
  return null
}

/** Their names (without the wrapper) for one of ours, or null. */
export function theirNamesOf({ modules, tokens }: Layout, ours: string): readonly string[] | null {
  const kind = kindOf(ours)
  const { template, number } = templateOf(ours.slice(0, ours.length - kind.length))
  const found = (kind ? modules : tokens).find(([name]) => name === template)
  if (!found) return null
  const names = typeof found[1] === 'string' ? [found[1]] : found[1]
  return names.map((name) => name.replace('{i}', number) + kind)
}
