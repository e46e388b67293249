/** What the configuration of a masked autoencoder is made of, beside what all objectives read. */
import { decoderKeys, rasterDecoderKeys } from '../model/keys.ts'
import { pixelKeys } from '../target/keys.ts'
import { maskKeys, rasterMaskKeys } from '../token/keys.ts'

export const maeKeys = {
  keys: { decoder: decoderKeys, mask: maskKeys, target: pixelKeys },
  /** By the kind of the data; null where it does not take them. */
  kinds: { images: {}, rasters: { decoder: rasterDecoderKeys, mask: rasterMaskKeys } },
}
