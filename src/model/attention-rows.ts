/** Attention of the cls token in every block, for attention maps (Caron et al. 2021). */
import { cat, permute } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Tap } from './block.ts'

export const clsAttentionTaps = (depth: number): readonly Tap[] =>
  Array.from({ length: depth }, (_, block) => ({ block, of: 'attention', queries: 1 }))

/** [B, L, A, P + N] for L blocks and A heads. */
export const clsAttention = (taps: readonly Tensor[]): Tensor =>
  scope(() => permute(cat(taps, 2), [0, 2, 1, 3])) // of [B, A, 1, P + N] each
