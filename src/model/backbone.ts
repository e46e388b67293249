/**
 * The encoder of pictures as a whole, a stem and its blocks: from a view to tokens, whatever the view is – an image, groups of bands, a
 * series of dates. Pretraining, probes, fine-tuning and segmentation use the same one.
 */
import type { View } from '../prepare/view.ts'
import { call } from '../tensor/call.ts'
import { arange, expand, gather, toDevice, unsqueeze } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, fromArray, type Tensor } from '../tensor/tensor.ts'
import { layoutTokens, placeCount, type TokenLayout } from '../token/layout.ts'
import { take } from '../token/take.ts'
import { type BackboneShape, checkBackbone, groupsOf } from './backbone-shape.ts'
import { type Encoded, type EncodeOptions, encoderRowsWith, encodeTokens } from './encoder.ts'
import type { ParameterRow, Weights } from './parameters.ts'
import type { BandGroup } from './stem/patch-embedding.ts'
import { type CutView, openPatches, patchRows } from './stem/patches.ts'

/** The parameters of the encoder. */
export function backboneRows(shape: BackboneShape): ParameterRow[] {
  const { embedding, positioning } = patchRows(shape)
  return [...encoderRowsWith(embedding, shape.dimensions), ...positioning]
}

/** `present`: 0 for padding among the kept tokens. */
export interface EncodeKeptOptions extends Omit<EncodeOptions, 'kept' | 'grid'> {
  readonly embed?: 'kept' | 'all' | undefined
}

export interface EncodeAllOptions extends Omit<EncodeOptions, 'present' | 'kept' | 'grid'> {
  /** Indices of groups; null for all. */
  readonly only?: readonly number[] | null
  /** Of all tokens, [N, D] or [B, N, D]; default: computed from the views. */
  readonly positions?: Tensor | undefined
}

export interface Backbone {
  readonly shape: BackboneShape
  readonly layout: TokenLayout
  readonly groups: readonly BandGroup[]
  readonly rows: readonly ParameterRow[]
  /** Throws `SHAPE` for images of another size. */
  cut(view: View): CutView
  /**
   * The latent of the tokens `kept` [B, K], which all hold data. `embed`: embeds the kept tokens only, or all of them before gathering; with
   * `all` no shape depends on the mask, for tracing. The results are equal.
   */
  encodeKept(cut: CutView, kept: Tensor, weights: Weights, options?: EncodeKeptOptions): Encoded
  /** All tokens, or those of some groups, unmasked. Tokens without data are excluded from attention. */
  encodeAll(view: View, weights: Weights, options?: EncodeAllOptions): Encoded
  /**
   * All tokens, those of which `mask` [B, N] is 1 replaced by `token` [1, 1, D] before positions are added (BEiT, SimMIM). Tokens without
   * data are excluded from attention.
   */
  encodeMasked(cut: CutView, masked: MaskedTokens, weights: Weights, options?: EncodeMaskedOptions): Encoded
}

export type EncodeMaskedOptions = Pick<EncodeOptions, 'taps'>

export interface MaskedTokens {
  readonly mask: Tensor
  readonly token: Tensor
}

/** Throws `SHAPE` or `VALUE` for a shape that does not fit together. */
export function openBackbone(shape: BackboneShape, device: Device): Backbone {
  checkBackbone(shape)
  const d = shape.dimensions
  const stem = openPatches(shape, device)
  const { layout } = stem
  const places = placeCount(layout)
  const N = layoutTokens(layout)
  return {
    shape,
    layout,
    groups: groupsOf(shape),
    rows: backboneRows(shape),
    cut: stem.cut,
    encodeKept(cut, kept, weights, { embed = 'kept', ...options } = {}) {
      const x = () =>
        embed === 'all' ? take(stem.embed(cut, null, weights), kept) : stem.embed(cut, kept, weights)
      const embedded = () => ({ x: x(), ...stem.place(cut, kept, weights) })
      return encodeTokens(embedded, weights, d, { ...options, kept })
    },
    encodeMasked(cut, { mask, token }, weights, options = {}) {
      const all = expand(arange(N, { dtype: 'int64', device }), [cut.samples, N])
      const isHidden = call('gt.Scalar', unsqueeze(mask, 2), 0)
      const embedded = () => ({
        x: call('where.self', isHidden, token, stem.embed(cut, null, weights)),
        ...stem.place(cut, all, weights),
      })
      return encodeTokens(embedded, weights, d, { ...options, present: cut.present })
    },
    encodeAll: (view, weights, { only = null, positions, ...options } = {}) =>
      scope(() => {
        const cut = stem.cut(view)
        const numbers = only?.flatMap((g) => Array.from({ length: places }, (_, p) => g * places + p))
        const row = numbers
          ? toDevice(fromArray(BigInt64Array.from(numbers, BigInt), [numbers.length], 'int64'), device)
          : arange(N, { dtype: 'int64', device })
        const which = expand(row, [cut.samples, row.shape[0]!])
        const present =
          cut.present && (numbers ? gather(cut.present, 1, call('contiguous', which)) : cut.present)
        const embedded = () => {
          const x = stem.embed(cut, null, weights, only)
          return positions ? { x, positions, kept: null } : { x, ...stem.place(cut, which, weights) }
        }
        return encodeTokens(embedded, weights, d, { ...options, present })
      }),
  }
}
