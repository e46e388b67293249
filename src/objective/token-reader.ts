/** How an objective reads features of tokens from what a mask leaves: MAE encodes the rest and decodes, others put a mask token in each hidden place. */
import type { Backbone } from '../model/backbone.ts'
import type { BackboneShape } from '../model/backbone-shape.ts'
import type { Wanted } from '../model/decoder/decoder.ts'
import type { Encoded } from '../model/encoder.ts'
import type { ParameterRow, Weights } from '../model/parameters.ts'
import type { CutView } from '../model/stem/patches.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import type { MaskPlan } from '../token/mask.ts'

/** What an objective read of a batch under a mask. */
export interface TokensRead {
  readonly encoded: Pick<Encoded, 'sequence' | 'prefix' | 'taps'>
  /** Of hidden tokens [B, M, E], or of all [B, N, E], as decoders give them. Called once. */
  features(wanted: Wanted): Tensor
  /** Those that the second head reads. Called once, after `features`. */
  second?(wanted: Wanted): Tensor
}

export interface TokenReader {
  /** Beside those of the backbone. */
  readonly rows: readonly ParameterRow[]
  /** Whose tokens the encoder's sequence has: the kept ones, or all, hidden ones as mask tokens. */
  readonly seen: 'kept' | 'all'
  /** E, which the heads read. */
  readonly width: number
  /**
   * The same values are predicted once more, from other features of that width. `name` is in front of its parts and metrics, as in `early-codes`,
   * `prefix` in front of its heads' parameters; '': they are those of the first.
   */
  readonly second?: { readonly name: string; readonly prefix: string }
  /** Whether the encoder's final norm is not read: it then stays as it is, without a scale and a shift of its own. */
  readonly leavesFinalNorm?: boolean
  read(cut: CutView, plan: MaskPlan, weights: Weights): TokensRead
}

export type OpenReader = (space: {
  readonly shape: BackboneShape
  readonly backbone: Backbone
  readonly device: Device
}) => TokenReader
