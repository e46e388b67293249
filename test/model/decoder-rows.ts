/** The parameters of MAE's decoder with its head of pixels, for tests of parameters. */
import { headRows } from '../../src/model/decoder/heads.ts'
import { transformerRows } from '../../src/model/decoder/transformer.ts'
import { type AutoencoderDimensions, patchWidth } from '../../src/model/dimensions.ts'

export const decoderRows = (d: AutoencoderDimensions) => [
  ...transformerRows(d),
  ...headRows({ decoder_pred: patchWidth(d.encoder) }, d.decoder.width),
]
