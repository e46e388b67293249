/**
 * Masked autoencoding (He et al. 2021): encodes a quarter of the tokens and predicts a target for the rest, such as pixels. With spectral
 * groups, frames and dates it is SatMAE (Cong et al. 2022); with scaled positions, Scale-MAE's encoder (Reed et al. 2023). These are the same
 * objective with other tokens, mask, decoder and target.
 */
import { type DecoderOptions, openDecoder } from '../model/decoder/decoders.ts'
import { type MaskedObjective, type MaskedOptions, maskedObjective } from './masked.ts'

export interface MaeOptions extends MaskedOptions {
  readonly decoder: DecoderOptions
  /** Which tokens a prediction embeds, `kept` by default: see `Backbone.encodeKept`. */
  readonly embed?: 'kept' | 'all'
}

/** Throws `SHAPE` or `VALUE` if dimensions, groups or ratio do not fit. */
export function mae({ decoder: decoding, embed, ...options }: MaeOptions): MaskedObjective {
  const decodeRatio = decoding.kind === 'cross-attention' ? (decoding.decodeRatio ?? null) : null
  return maskedObjective({ decodeRatio, ...options }, ({ shape, backbone, device }) => {
    const decoder = openDecoder(decoding, { shape, device })
    return {
      rows: decoder.rows,
      seen: 'kept',
      width: decoder.width,
      leavesFinalNorm: decoder.readsTapsAlone ?? false,
      read(cut, plan, weights) {
        const { taps = [], readsTapsAlone = false } = decoder
        const encoded = backbone.encodeKept(cut, plan.kept, weights, {
          ...{ embed, taps, norm: !readsTapsAlone },
          present: plan.real?.kept ?? null,
        })
        const input = { encoded, view: cut.view, plan }
        return { encoded, features: (wanted) => decoder.decode(input, weights, wanted) }
      },
    }
  })
}
