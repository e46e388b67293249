/**
 * The interface of decoders: from the latent of kept tokens to features of tokens, which heads turn into predictions. A decoder creates its
 * own positions, if it needs any.
 */
import type { View } from '../../prepare/view.ts'
import type { Device, Tensor } from '../../tensor/tensor.ts'
import type { MaskPlan } from '../../token/mask.ts'
import type { BackboneShape } from '../backbone-shape.ts'
import type { Tap } from '../block.ts'
import type { Encoded } from '../encoder.ts'
import type { ParameterRow, Weights } from '../parameters.ts'

export interface DecoderSpace {
  readonly shape: BackboneShape
  readonly device: Device
}

export interface DecoderInput {
  /** Of the kept tokens. */
  readonly encoded: Pick<Encoded, 'sequence' | 'prefix' | 'taps'>
  readonly plan: MaskPlan
  /** Of the samples, for positions that know dates and scales. */
  readonly view: Pick<View, 'times' | 'resolution'>
}

/** Of `hidden` tokens [B, M, E], in the order of the plan; of `all` tokens [B, N, E], in their own order. */
export type Wanted = 'hidden' | 'all'

export interface Decoder {
  readonly rows: readonly ParameterRow[]
  /** E */
  readonly width: number
  /** What it reads of the encoder's blocks, as `encoded.taps`. */
  readonly taps?: readonly Tap[]
  /** Whether it reads the taps alone; the encoder's final norm is then not computed, and does not learn. */
  readonly readsTapsAlone?: boolean
  decode(input: DecoderInput, weights: Weights, wanted: Wanted): Tensor
}
