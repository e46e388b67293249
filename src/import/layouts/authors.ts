/**
 * PyTorch files of the authors of DINO, iBOT, DINOv2 and DINOv3, where their names differ from timm's: tokens, gates, masked biases,
 * periods. There is no configuration: epsilon and the rule for positions are those of their code.
 */
import { layerScales, maskedQkvBias, norms, patches, plainBlocks } from './blocks.ts'
import type { Facts, Source } from './facts.ts'
import { type Layout, modules, type NameRow, type Templates, token } from './layout.ts'

function factsOf({ has, keys, shapeOf }: Source): Facts {
  const isTurned = has('rope_embed.periods') || shapeOf('pos_embed') === null
  const hasScales = ['ls1', 'ls2'].some((name) => has(`blocks.{i}.${name}.gamma`))
  const hasRegisters = has('register_tokens')
  const family = isTurned ? 'dinov3' : hasScales ? 'dinov2' : keys.includes('dino_loss') ? 'dino' : 'ibot'
  const grid = Math.sqrt((shapeOf('pos_embed')?.at(-2) ?? 1) - 1)
  const isReleased = family === 'dinov2' && grid === 37
  return {
    family,
    model: {
      layerNormEpsilon: family === 'dinov3' ? 1e-5 : 1e-6,
      resampling: family === 'dinov2' && hasRegisters ? 'cubic-antialias' : 'cubic-offset',
      feature: 'cls',
      ...(family !== 'dinov3' && { qkvBias: 'all' as const }),
    },
    open: [],
    stated: { ...(family === 'dinov3' && { registers: 4 }) },
    // DINOv2 ended its training at 518 pixels, and is evaluated at 224.
    imageSize: isReleased ? { size: [224, 224], isOfTable: false } : null,
    ...(family === 'dinov3' && { rotaryBase: 100 }),
    keepsTable: true,
    notes: isReleased
      ? [
          'its positions are of 37 × 37 patches: resampled for 224 × 224 pixels, at which its authors evaluate; --set model.imageSize=518 takes them as they are',
        ]
      : [],
  }
}

const encoder: readonly NameRow[] = [
  ...patches,
  token('cls_token'),
  ...plainBlocks('blocks').filter(({ ours }) => ours[0] !== 'blocks.{i}.attn.qkv.bias'),
  ...modules('blocks.{i}.mlp.w12', 'blocks.{i}.mlp.w1', 'blocks.{i}.mlp.w2', 'blocks.{i}.mlp.w3'),
  ...layerScales,
  ...norms,
]

const base = {
  wrappers: [''],
  blocks: 'blocks.',
  decoderPositions: null,
  tables: ['rope_embed.periods'],
  unused: [
    [/^(?:mask_token|masked_embed)$/, 'stands for hidden patches in its pretraining'],
    [/^local_cls_norm\./, 'a norm of local crops in its pretraining'],
  ],
  facts: factsOf,
} as const

const hasBlocks = (names: Templates) =>
  names.any('blocks.{i}.norm1.weight', 'blocks.{i}.norm1.bias', 'blocks.{i}.attn.qkv.weight')

export const authorsLayouts = {
  dinov3: {
    ...base,
    title: 'facebookresearch/dinov3',
    isOf: (names) =>
      hasBlocks(names) &&
      names.any(
        'rope_embed.periods',
        'storage_tokens',
        'blocks.{i}.attn.qkv.bias_mask',
        'local_cls_norm.weight',
      ),
    rows: [...encoder, maskedQkvBias, token('register_tokens', 'storage_tokens')],
    positions: null,
  },
  dino: {
    ...base,
    title: 'the authors of DINO, iBOT or DINOv2',
    isOf: (names) =>
      (hasBlocks(names) && names.any('register_tokens', 'masked_embed', 'blocks.{i}.mlp.w12.weight')) ||
      (hasBlocks(names) &&
        names.has('mask_token') &&
        names.any('blocks.{i}.ls1.gamma', 'blocks.{i}.ls2.gamma')),
    rows: [...encoder, token('blocks.{i}.attn.qkv.bias'), token('register_tokens')],
    positions: { name: 'pos_embed' },
  },
} as const satisfies Record<string, Layout>
