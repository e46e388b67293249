/** The decoders by name: a new one is a row. */
import type { CrossAttentionDimensions } from '../dimensions.ts'
import { crossAttentionDecoder } from './cross-attention.ts'
import type { Decoder, DecoderSpace } from './decoder.ts'
import { type TransformerDecoder, transformerDecoder } from './transformer.ts'

const decoders = { transformer: transformerDecoder, 'cross-attention': crossAttentionDecoder }

export type DecoderOptions =
  | (TransformerDecoder & { readonly kind?: 'transformer' })
  | CrossAttentionDimensions

/** Throws `SHAPE` or `VALUE` when it does not fit to the encoder. */
export const openDecoder = (options: DecoderOptions, space: DecoderSpace): Decoder =>
  (decoders[options.kind ?? 'transformer'] as (options: DecoderOptions, space: DecoderSpace) => Decoder)(
    options,
    space,
  )
