/** Picking and restoring tokens by a mask plan's indices. */
import { expand, gather, unsqueeze } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** tokens [B, N, D] at indices [B, K] → [B, K, D]. */
export function take(tokens: Tensor, indices: Tensor): Tensor {
  const [B, , D] = expectShape(tokens, ['B', 'N', 'D'], 'take: tokens')
  const [, K] = expectShape(indices, [B, 'K'], 'take: indices')
  return scope(() => gather(tokens, 1, expand(unsqueeze(indices, -1), [B, K, D])))
}
