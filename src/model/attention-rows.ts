/** How an encoder's heads share their attention among its tokens, for attention maps (Caron et al. 2021): one row for each head. */
import { cat, meanOver, narrow, permute, select, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { prefixLength } from '../token/prefix.ts'
import type { Tap } from './block.ts'
import { type EncoderDimensions, prefixOf } from './dimensions.ts'

/** Whose attention it is: that of the first cls token, or the mean over the patches where there is none. */
export type Attending = 'cls' | 'patches'

export interface AttentionRows {
  readonly of: Attending
  readonly tap: (block: number) => Tap
  /** Of what such a tap gives, [B, A, 1, P + N]. */
  readonly read: (tapped: Tensor) => Tensor
}

export function attentionRows(d: Pick<EncoderDimensions, 'variant'>): AttentionRows {
  const prefix = prefixOf(d)
  const cls = prefix.findIndex(({ kind }) => kind === 'cls')
  if (cls < 0) {
    const from = prefixLength(prefix)
    return { of: 'patches', tap: (block) => ({ block, of: 'mean attention', from }), read: (row) => row }
  }
  const at = prefixLength(prefix.slice(0, cls))
  return {
    of: 'cls',
    tap: (block) => ({ block, of: 'attention', queries: at + 1 }),
    read: (rows) => (at === 0 ? rows : narrow(rows, 2, at, 1)),
  }
}

/** Of every block. */
export const attentionTaps = (d: Pick<EncoderDimensions, 'variant' | 'depth'>): readonly Tap[] =>
  Array.from({ length: d.depth }, (_, block) => attentionRows(d).tap(block))

/** [B, L, A, P + N] of L blocks and A heads. */
export const attentionOfBlocks = (taps: readonly Tensor[], d: Pick<EncoderDimensions, 'variant'>): Tensor =>
  scope(() => permute(cat(taps.map(attentionRows(d).read), 2), [0, 2, 1, 3])) // of [B, A, 1, P + N] each

export interface PatchAttention {
  /** What of the last block is read. */
  readonly tap: Tap
  /** [B, N] of what it gives: how much each patch is attended to, in float32; the mean over the heads. */
  readonly read: (tapped: Tensor) => Tensor
}

/** Of the last block, by which masks follow attention (AttMask, MILAN). */
export function patchAttention(d: Pick<EncoderDimensions, 'variant' | 'depth'>): PatchAttention {
  const { tap, read } = attentionRows(d)
  const P = prefixLength(prefixOf(d))
  return {
    tap: tap(d.depth - 1),
    read: (tapped) =>
      scope(() => {
        const all = select(meanOver(toDtype(read(tapped), 'float32'), [1]), 1, 0) // [B, P + N]
        return narrow(all, 1, P, all.shape[1]! - P)
      }),
  }
}
