/** The decoders by name: a new one is a row. */
import type { Decoder, DecoderSpace } from './decoder.ts'
import { type TransformerDecoder, transformerDecoder } from './transformer.ts'

const decoders = { transformer: transformerDecoder }

export type DecoderOptions = { readonly kind?: 'transformer' } & TransformerDecoder

/** Throws `SHAPE` when it does not fit to the encoder. */
export const openDecoder = (
  { kind = 'transformer', ...options }: DecoderOptions,
  space: DecoderSpace,
): Decoder => decoders[kind](options, space)
