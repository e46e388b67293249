/** The dimensions of a model as the peers' programs take them. */
import { autoencoderOf } from '../src/config/resolve.ts'
import type { DecodedConfig } from '../src/config/schema.ts'

export function peerDimensions(config: DecodedConfig) {
  const { encoder, decoder } = autoencoderOf(config)
  const { layerNormEpsilon: _, ...dimensions } = encoder
  const { width, depth, heads } = decoder
  return { ...dimensions, decoderWidth: width, decoderDepth: depth, decoderHeads: heads }
}
