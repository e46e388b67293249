/** Picking and restoring tokens by a mask plan's indices. */
import { call } from '../tensor/call.ts'
import { hasKernels } from '../tensor/fused.ts'
import { expand, gather, narrow, unsqueeze } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** tokens [B, N, D] at indices [B, K] → [B, K, D]. */
export function take(tokens: Tensor, indices: Tensor): Tensor {
  const [B, , D] = expectShape(tokens, ['B', 'N', 'D'], 'take: tokens')
  const [, K] = expectShape(indices, [B, 'K'], 'take: indices')
  if (hasKernels(tokens.device)) return call('sherd::take_rows', tokens, indices)
  return scope(() => gather(tokens, 1, expand(unsqueeze(indices, -1), [B, K, D])))
}

/** The tokens from one on: x [B, N, D] → [B, N − from, D], a view. */
export function tokensFrom(x: Tensor, from: number): Tensor {
  if (from === 0) return x
  if (hasKernels(x.device)) return call('sherd::rows_from', x, from)
  return narrow(x, 1, from, x.shape[1]! - from)
}
