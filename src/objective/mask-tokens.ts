/**
 * Masked image modelling with mask tokens in the encoder and one linear head: SimMIM (Xie et al. 2022) with its pixels as the target, MaskFeat
 * (Wei et al. 2022) with histograms of oriented gradients, BEiT (Bao et al. 2022) with codes. The encoder sees as many tokens as there are,
 * hidden ones as `mask_token` with their position; there is no decoder. BEiT v2 (Peng et al. 2022) predicts once more, from the patches of an
 * early block and the last cls token. Parameters have the names of MAE's, the encoder's without a prefix, so that whatever reads an encoder
 * reads this one.
 */
import { blockRows, normRows, type Tap } from '../model/block.ts'
import type { Wanted } from '../model/decoder/decoder.ts'
import { encoderBlocks, prefixOf } from '../model/dimensions.ts'
import { checkEarlyHead, type EarlyHead } from '../model/early-head.ts'
import { type Encoded, encodeFurther } from '../model/encoder.ts'
import { beitInitial, beitv2Initial, maskfeatInitial } from '../model/initial-values.ts'
import type { Weights } from '../model/parameters.ts'
import { cat, narrow } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { maskOf } from '../token/mask.ts'
import { patchesOf, prefixLength } from '../token/prefix.ts'
import { take } from '../token/take.ts'
import { type MaskedObjective, type MaskedOptions, maskedObjective } from './masked.ts'
import type { TokenReader } from './token-reader.ts'

export interface MaskTokenOptions extends MaskedOptions {
  /** Default: none. */
  readonly early?: EarlyHead | null
}

/** How parameters start and decay in BEiT, SimMIM and data2vec: mask tokens and tables of relative positions decay, cls and positions do not. */
export const asInBeit = {
  initial: beitInitial,
  groupRows: [{ match: /(^|\.)(cls_token|pos_embed)$/, decay: 0 }],
} satisfies Partial<MaskedOptions>

export const asInBeitv2 = ({ layers }: Pick<EarlyHead, 'layers'>) =>
  ({ ...asInBeit, initial: beitv2Initial(layers) }) satisfies Partial<MaskedOptions>

/** In MaskFeat all of them decay. */
export const asInMaskfeat = { initial: maskfeatInitial } satisfies Partial<MaskedOptions>

/** Of the second head, in the names of its parameters. */
const PREFIX = 'cls_pt_'
const [BLOCKS, OWN_NORM] = [`${PREFIX}layers`, `${PREFIX}norm`]

/** Throws `SHAPE` or `VALUE` if dimensions, groups or ratio do not fit. */
export const maskTokens = ({ early = null, ...options }: MaskTokenOptions): MaskedObjective =>
  maskedObjective(options, ({ shape: { dimensions: d }, backbone }): TokenReader => {
    if (early) checkEarlyHead(early, d)
    const [prefix, P] = [prefixOf(d), prefixLength(prefixOf(d))]
    const norm = early?.shared === false ? OWN_NORM : 'norm'
    const taps = (early ? [d.depth, early.layers] : []).map((l): Tap => ({ block: l - 1, of: 'output' }))
    /** The early patches with the last cls, behind the blocks of the second head. */
    const further = (
      { taps: [last, patches], ...encoded }: Encoded,
      { depth }: EarlyHead,
      weights: Weights,
    ) => {
      const sequence = cat([narrow(last!, 1, 0, P), patchesOf({ sequence: patches!, prefix })], 1)
      return encodeFurther(sequence, weights, d, { ...encoded, blocks: BLOCKS, depth, norm })
    }
    return {
      rows: [
        { name: 'mask_token', shape: [1, 1, d.width], initial: 'token' },
        ...(early ? blockRows(BLOCKS, { ...encoderBlocks(d), depth: early.depth }) : []),
        ...(norm === OWN_NORM ? normRows(norm, d.width) : []),
      ],
      seen: 'all',
      width: d.width,
      ...(early && { second: { name: 'early', prefix: early.shared ? '' : PREFIX } }),
      read(cut, plan, weights) {
        const masked = { mask: maskOf(plan), token: weights('mask_token') }
        const encoded = backbone.encodeMasked(cut, masked, weights, { taps })
        const wantedOf = (sequence: Tensor, wanted: Wanted) => {
          const patches = patchesOf({ sequence, prefix })
          return wanted === 'all' ? patches : take(patches, plan.hidden)
        }
        return {
          encoded,
          features: (wanted) => wantedOf(encoded.sequence, wanted),
          ...(early && { second: (wanted) => wantedOf(further(encoded, early, weights), wanted) }),
        }
      },
    }
  })
