/**
 * Masked image modelling with mask tokens in the encoder and one linear head: SimMIM (Xie et al. 2022) with its pixels as the target, MaskFeat
 * (Wei et al. 2022) with histograms of oriented gradients. The encoder sees as many tokens as there are, hidden ones as `mask_token` with
 * their position; there is no decoder. Parameters have the names of MAE's, the encoder's without a prefix, so that whatever reads an
 * encoder reads this one.
 */
import { beitInitial, maskfeatInitial } from '../model/initial-values.ts'
import { maskOf } from '../token/mask.ts'
import { patchesOf } from '../token/prefix.ts'
import { take } from '../token/take.ts'
import { type MaskedObjective, type MaskedOptions, maskedObjective } from './masked.ts'

/** How parameters start and decay in BEiT, SimMIM and data2vec: mask tokens and tables of relative positions decay, cls and positions do not. */
export const asInBeit = {
  initial: beitInitial,
  groupRows: [{ match: /(^|\.)(cls_token|pos_embed)$/, decay: 0 }],
} satisfies Partial<MaskedOptions>

/** In MaskFeat all of them decay. */
export const asInMaskfeat = { initial: maskfeatInitial } satisfies Partial<MaskedOptions>

/** Throws `SHAPE` or `VALUE` if dimensions, groups or ratio do not fit. */
export const maskTokens = (options: MaskedOptions): MaskedObjective =>
  maskedObjective(options, ({ shape: { dimensions }, backbone }) => ({
    rows: [{ name: 'mask_token', shape: [1, 1, dimensions.width], initial: 'token' }],
    width: dimensions.width,
    read(cut, plan, weights) {
      const masked = { mask: maskOf(plan), token: weights('mask_token') }
      const encoded = backbone.encodeMasked(cut, masked, weights)
      const patches = patchesOf(encoded)
      return { encoded, features: (wanted) => (wanted === 'all' ? patches : take(patches, plan.hidden)) }
    },
  }))
