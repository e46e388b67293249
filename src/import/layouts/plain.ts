/** facebookresearch/mae, SatMAE and MMPretrain. sherd shares the names of the first. */
import type { ResamplingName } from '../../token/resample-positions.ts'
import { norms, plainBlocks } from './blocks.ts'
import type { Facts, Family, Source } from './facts.ts'
import { type Layout, module, modules, type NameRow, outside, token } from './layout.ts'

/** What photographs and groups of bands have alike. */
const shared: readonly NameRow[] = [
  ...[...plainBlocks('blocks'), ...norms],
  ...outside([...modules('decoder_embed', 'decoder_norm'), ...plainBlocks('decoder_blocks')]),
  ...[token('cls_token'), token('mask_token')],
]

/** What a training's own arguments say. */
function factsOf(family: Family, resampling: ResamplingName, feature: 'cls' | 'mean') {
  return ({ facts }: Source): Facts => {
    const [ratio, normalize, size] = ['mask_ratio', 'norm_pix_loss', 'input_size'].map((name) =>
      facts.get(`args.${name}`),
    )
    return {
      ...{ family, model: { layerNormEpsilon: 1e-6, resampling, feature }, open: [], stated: {} },
      imageSize: typeof size === 'number' && size > 0 ? { size: [size, size], isOfTable: false } : null,
      maskRatio: typeof ratio === 'number' ? ratio : null,
      normalizeTarget: typeof normalize === 'boolean' ? normalize : null,
      notes: [],
    }
  }
}

/** With a decoder, whose names are those of its authors' program. */
const autoencoder = {
  wrappers: [''],
  blocks: 'blocks.',
  positions: { name: 'pos_embed' },
  decoderPositions: 'decoder_pos_embed',
  unused: [],
} as const

export const plainLayouts = {
  mae: {
    ...autoencoder,
    title: 'facebookresearch/mae',
    isOf: (names) =>
      names.any('decoder_embed.weight', 'decoder_embed.bias') &&
      names.any('patch_embed.proj.weight', 'patch_embed.proj.bias'),
    rows: [...modules('patch_embed.proj', 'decoder_pred'), ...shared],
    tables: [],
    facts: factsOf('mae', 'cubic', 'mean'),
  },
  satmae: {
    ...autoencoder,
    title: 'SatMAE, groups of bands',
    isOf: (names) => names.any('patch_embed.{i}.proj.weight', 'patch_embed.{i}.proj.bias'),
    rows: [...modules('patch_embed.{i}.proj', 'decoder_pred.{i}'), ...shared],
    tables: ['channel_embed', 'decoder_channel_embed'],
    facts: factsOf('satmae', 'cubic', 'mean'),
  },
  mmpretrain: {
    title: 'MMPretrain',
    wrappers: ['backbone.', ''],
    blocks: 'layers.',
    isOf: (names) =>
      names.any('patch_embed.projection.weight', 'patch_embed.projection.bias') &&
      names.any('layers.{i}.ln1.weight', 'layers.{i}.ln1.bias'),
    rows: [
      ...module('patch_embed.proj', 'patch_embed.projection'),
      ...module('blocks.{i}.norm1', 'layers.{i}.ln1'),
      ...module('blocks.{i}.attn.qkv', 'layers.{i}.attn.qkv'),
      ...module('blocks.{i}.attn.proj', 'layers.{i}.attn.proj'),
      ...module('blocks.{i}.norm2', 'layers.{i}.ln2'),
      ...module('blocks.{i}.mlp.fc1', 'layers.{i}.ffn.layers.0.0'),
      ...module('blocks.{i}.mlp.fc2', 'layers.{i}.ffn.layers.1'),
      ...module('norm', 'ln1'),
      ...outside(module('head', 'head.layers.head')),
      token('cls_token'),
    ],
    positions: { name: 'pos_embed' },
    decoderPositions: null,
    tables: [],
    unused: [[/^neck\./, 'the decoder of its pretraining, which is not read']],
    facts: factsOf('vit', 'cubic', 'cls'),
  },
} as const satisfies Record<string, Layout>
