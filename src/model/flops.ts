/**
 * How much a training step must compute, from the dimensions alone: "model FLOPs" as in PaLM (Chowdhery et al. 2022,
 * appendix B). Only matrix products count, a multiply-add is two operations, the backward pass is twice the forward pass.
 * The least that the model asks for: only kept patches are embedded, only hidden ones predicted. An implementation that
 * does more gets no credit for it, so that rates of different ones compare.
 */
import { patchArea, tokenCount } from '../token/grid.ts'
import { keptCount } from '../token/mask-order.ts'
import { prefixLength } from '../token/prefix.ts'
import { type ConvolutionalShape, convolutionalRows } from './convolutional.ts'
import {
  type AnyDecoder,
  type AutoencoderDimensions,
  type BlockDimensions,
  type CrossAttentionDimensions,
  type DecoderDimensions,
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
  { perLocation = 1, groups = 1 }: TokenMultiples = {},
): MatrixProduct[] {
  const { encoder, decoder } = d
  const tokens = tokenCount(gridOfModel(encoder)) * perLocation
  const width = patchWidth(encoder) / groups
  const kept = keptCount(tokens, maskRatio)
  const before = prefixLength(prefixOf(encoder))
  const once = (name: string, rows: number, inner: number, columns: number): MatrixProduct => ({
    ...{ name, rows, inner, columns, count: 1, perImage: false },
  })
  const decodeRatio = decoder?.kind === 'cross-attention' ? (decoder.decodeRatio ?? null) : null
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

const product = (name: string, rows: number, inner: number, columns: number): MatrixProduct => ({
  ...{ name, rows, inner, columns, count: 1, perImage: false },
})

/** The same of VQ-KD: an encoder of all tokens, the distances to all codes, which have no gradient, and a decoder of as many. */
export function vqkdProducts(
  encoder: EncoderDimensions,
  { size, width: between, decoderDepth, features }: VqkdWidths,
): MatrixProduct[] {
  const { width } = encoder
  const patches = tokenCount(gridOfModel(encoder))
  const tokens = patches + prefixLength(prefixOf(encoder))
  const task = (name: string, output: number) => [
    product(`${name}.0`, patches, width, width),
    product(`${name}.2`, patches, width, output),
  ]
  return [
    product('encoder.patch_embed.proj', patches, patchWidth(encoder), width),
    ...blockProducts('encoder.blocks', tokens, encoderBlocks(encoder)),
    ...task('encode_task_layer', between),
    { ...product('quantize', patches, between, size), isLearned: false },
    product('decoder.patch_embed.proj', patches, between, width),
    ...blockProducts('decoder.blocks', tokens, { ...encoderBlocks(encoder), depth: decoderDepth }),
    ...task('decode_task_layer', features),
  ]
}

export interface VqkdWidths {
  /** Codes, and numbers of each. */
  readonly size: number
  readonly width: number
  readonly decoderDepth: number
  /** Numbers that the decoder says of a patch. */
  readonly features: number
}

/** A teacher of the encoder that sees all tokens, of which no gradient is taken. */
export function teacherProducts(
  encoder: EncoderDimensions,
  { perLocation = 1, groups = 1 }: TokenMultiples = {},
): MatrixProduct[] {
  const tokens = tokenCount(gridOfModel(encoder)) * perLocation
  const all = tokens + prefixLength(prefixOf(encoder))
  return [
    product('teacher.patch_embed.proj', tokens, patchWidth(encoder) / groups, encoder.width),
    ...blockProducts('teacher.blocks', all, encoderBlocks(encoder)),
  ].map((each) => ({ ...each, isLearned: false }))
}

export interface IjepaCounts {
  /** Blocks, and patches of a context and of a target. */
  readonly contexts: number
  readonly targets: number
  readonly kept: number
  readonly patches: number
  readonly predictor: Pick<DecoderDimensions, 'width' | 'depth' | 'heads'>
}

/** The same of I-JEPA: an encoder of each context, a predictor of each target from each context, and a teacher. */
export function ijepaProducts(encoder: EncoderDimensions, counts: IjepaCounts): MatrixProduct[] {
  const { contexts, targets, kept, patches, predictor } = counts
  const times = (n: number, products: readonly MatrixProduct[]) =>
    products.map((each) => ({ ...each, count: each.count * n }))
  const { width } = encoder
  return [
    ...times(contexts, [
      product('patch_embed.proj', kept, patchWidth(encoder), width),
      ...blockProducts('blocks', kept + prefixLength(prefixOf(encoder)), encoderBlocks(encoder)),
      product('predictor.predictor_embed', kept, width, predictor.width),
    ]),
    ...times(contexts * targets, [
      ...blockProducts(
        'predictor.predictor_blocks',
        kept + patches,
        decoderBlocks({ encoder, decoder: predictor }),
      ),
      product('predictor.predictor_proj', patches, predictor.width, width),
    ]),
    ...teacherProducts(encoder),
  ]
}

/** The same of a convolutional VQ-VAE: a convolution multiplies a row for each place of what it makes, a transposed one of what it reads. */
export function convolutionalProducts(
  shape: ConvolutionalShape,
  {
    imageSize: [height, width],
    codes,
  }: { readonly imageSize: readonly [number, number]; readonly codes: number },
): MatrixProduct[] {
  const patches = (height * width) / patchArea(shape.patchSize)
  const halvings = Math.log2(shape.patchSize[0])
  return [
    ...convolutionalRows(shape)
      .filter(({ name }) => name.endsWith('.weight'))
      .map(({ name, shape: [first = 1, ...rest] }) => {
        const [, half, number] = /^(encoder\.down|decoder\.up)\.(\d+)/.exec(name) ?? []
        const left = half === undefined ? 0 : halvings - 1 - Number(number) // halvings that are still to come, or doublings
        const done = half === 'decoder.up' ? Number(number) : left
        return product(
          name.replace(/\.weight$/, ''),
          patches * 4 ** done,
          rest.reduce((a, b) => a * b, 1),
          first,
        )
      }),
    { ...product('quantize', patches, shape.between, codes), isLearned: false },
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
