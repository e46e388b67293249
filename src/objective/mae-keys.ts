/** Configuration keys of masked autoencoding, besides the common ones. */
import { decoderKeys, rasterDecoderKeys } from '../model/decoder/keys.ts'
import { targetKeys } from '../target/targets.ts'
import { maskKeys, rasterMaskKeys } from '../token/keys.ts'

export const maeKeys = {
  inWords: 'Masked autoencoding (He et al. 2021)',
  keys: { decoder: decoderKeys, mask: maskKeys },
  /** By the kind of the data; null where it does not take them. */
  kinds: { images: {}, rasters: { decoder: rasterDecoderKeys, mask: rasterMaskKeys } },
  /** By the kind of the target. */
  targets: targetKeys,
}
