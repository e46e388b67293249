/**
 * How much a training step must compute, from the dimensions alone: "model FLOPs" as in PaLM (Chowdhery et al. 2022,
 * appendix B). Only matrix products count, a multiply-add is two operations, the backward pass is twice the forward pass.
 * The least that the model asks for: only kept patches are embedded, only hidden ones predicted. An implementation that
 * does more gets no credit for it, so that rates of different ones compare.
 */
import { tokenCount } from '../token/grid.ts'
import { keptCount } from '../token/mask-order.ts'
import { prefixLength } from '../token/prefix.ts'
import {
  type AnyDecoder,
  type AutoencoderDimensions,
  type BlockDimensions,
  type CrossAttentionDimensions,
  decoderBlocks,
  type EncoderDimensions,
  encoderBlocks,
  featureMapsOf,
  gridOfModel,
  hiddenWidth,
  patchWidth,
  prefixOf,
  type TrainedDimensions,
} from './dimensions.ts'
import { feedForwardOf } from './feed-forward.ts'

/** [rows, inner] × [inner, columns], taken `count` times in the forward pass of one image. */
export interface MatrixProduct {
  readonly name: string
  readonly rows: number
  readonly inner: number
  readonly columns: number
  readonly count: number
  /** Whether each image has a right side of its own (attention), so that the rows of a batch are not one matrix. */
  readonly perImage: boolean
  /** How many of them a block takes as one batched product: its heads; default 1. */
  readonly together?: number
  /** Whether gradients are taken through it; default true. */
  readonly isLearned?: boolean
}

/** How many tokens a location has, and how many of them share out its bands. */
export interface TokenMultiples {
  readonly perLocation?: number
  readonly groups?: number
  /** Share of the tokens that are predicted, if not all hidden ones. */
  readonly decodeRatio?: number | null
}

function blockProducts(prefix: string, tokens: number, d: BlockDimensions): MatrixProduct[] {
  const { width, depth, heads } = d
  const hidden = hiddenWidth(d)
  const map = (name: string, inner: number, columns: number): MatrixProduct => ({
    ...{ name: `${prefix}.${name}`, rows: tokens, inner, columns, count: depth, perImage: false },
  })
  const attention = (name: string, inner: number, columns: number): MatrixProduct => ({
    ...{ name: `${prefix}.attn.${name}`, rows: tokens, inner, columns, count: depth * heads, perImage: true },
    together: heads,
  })
  return [
    map('attn.qkv', width, 3 * width),
    attention('scores', width / heads, tokens),
    attention('mix', tokens, width / heads),
    map('attn.proj', width, width),
    map('mlp.fc1', width, hidden * feedForwardOf(d).maps),
    map('mlp.fc2', hidden, width),
  ]
}

/** `tokens` mask tokens that attend to `seen` tokens of the encoder. */
function crossAttentionProducts(
  tokens: number,
  seen: number,
  d: AutoencoderDimensions<CrossAttentionDimensions>,
): MatrixProduct[] {
  const { width, depth, heads } = d.decoder
  const hidden = hiddenWidth(decoderBlocks(d))
  const maps = featureMapsOf(d).length
  const map = (name: string, rows: number, inner: number, columns: number): MatrixProduct => ({
    ...{ name: `decoder_blocks.${name}`, rows, inner, columns, count: depth, perImage: false },
  })
  const attention = (name: string, inner: number, columns: number): MatrixProduct => ({
    ...map(`cross_attn.${name}`, tokens, inner, columns),
    ...{ count: depth * heads, perImage: true, together: heads },
  })
  return [
    ...(maps > 0 ? [{ ...map('mixture', seen * d.encoder.width, maps, depth), name: 'wfm', count: 1 }] : []),
    map('cross_attn.q', tokens, width, width),
    map('cross_attn.kv', seen, d.encoder.width, 2 * width),
    attention('scores', width / heads, seen),
    attention('mix', seen, width / heads),
    map('cross_attn.proj', tokens, width, width),
    map('mlp.fc1', tokens, width, hidden),
    map('mlp.fc2', tokens, hidden, width),
  ]
}

/**
 * Every matrix product of the forward pass of one image, in order. `perLocation`: tokens of one location, where groups of bands or
 * frames have tokens of their own; each then embeds and predicts its share of the bands, equal ones on average.
 */
export function matrixProducts(
  d: TrainedDimensions,
  maskRatio: number,
  { perLocation = 1, groups = 1, decodeRatio = null }: TokenMultiples = {},
): MatrixProduct[] {
  const { encoder, decoder } = d
  const tokens = tokenCount(gridOfModel(encoder)) * perLocation
  const width = patchWidth(encoder) / groups
  const kept = keptCount(tokens, maskRatio)
  const before = prefixLength(prefixOf(encoder))
  const once = (name: string, rows: number, inner: number, columns: number): MatrixProduct => ({
    ...{ name, rows, inner, columns, count: 1, perImage: false },
  })
  const thrown = decodeRatio === null ? 0 : Math.floor(tokens * (maskRatio - decodeRatio))
  const decoded = tokens - kept - thrown
  const decoding = (of: AnyDecoder): MatrixProduct[] =>
    of.kind === 'cross-attention'
      ? crossAttentionProducts(decoded, kept + before, { encoder, decoder: of })
      : [
          once('decoder_embed', kept + before, encoder.width, of.width),
          ...blockProducts(
            'decoder_blocks',
            kept + decoded + before,
            decoderBlocks({ encoder, decoder: of }),
          ),
        ]
  return [
    once('patch_embed.proj', kept, width, encoder.width),
    ...blockProducts('blocks', (decoder ? kept : tokens) + before, encoderBlocks(encoder)),
    ...(decoder ? decoding(decoder) : []),
    once('decoder_pred', decoded, (decoder ?? encoder).width, width),
  ]
}

/** Floating-point operations of one training step for each image: forward, and twice that backward. */
export function trainingFlops(
  d: TrainedDimensions,
  maskRatio: number,
  multiples: TokenMultiples = {},
): number {
  return productsFlops(matrixProducts(d, maskRatio, multiples))
}

/** The same of any products of a forward pass; those that are not learned are taken forward alone. */
export const productsFlops = (products: readonly MatrixProduct[]): number =>
  products.reduce(
    (sum, { rows, inner, columns, count, isLearned = true }) =>
      sum + (isLearned ? 3 : 1) * 2 * rows * inner * columns * count,
    0,
  )

/** Floating-point operations of one image's forward pass through the encoder: every patch, no own output (attention pooling, projection). */
export function encoderFlops(d: EncoderDimensions): number {
  const patches = tokenCount(gridOfModel(d))
  const blocks = blockProducts('blocks', patches + prefixLength(prefixOf(d)), encoderBlocks(d))
  const embedded = 2 * patches * patchWidth(d) * d.width
  return blocks.reduce(
    (sum, { rows, inner, columns, count }) => sum + 2 * rows * inner * columns * count,
    embedded,
  )
}
