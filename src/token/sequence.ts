/** The sequence of tokens that a transformer gets: cls, the kept tokens, and a mask token for every hidden patch. */
import { call } from '../tensor/call.ts'
import { hasKernels } from '../tensor/fused.ts'
import { add, cat, expand, narrow } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { take } from './take.ts'

export interface SequenceInput {
  /** [B, K, D] with `cls`; without it [B, 1 + K, D], and the first token is the cls token. */
  readonly x: Tensor
  /** [N, D], float32 */
  readonly positions: Tensor
  /** [B, K], the patch of each kept token. */
  readonly kept: Tensor
  /** [1, 1, D], a learned cls token to put in front. It has no position. */
  readonly cls?: Tensor
  /** The learned mask token [1, 1, D], and the patches [B, M] that it stands for. */
  readonly mask?: { readonly token: Tensor; readonly hidden: Tensor }
}

/** [B, 1 + K + M, D] in float32: cls, x plus its positions, the mask token plus the positions of the hidden patches. */
export function tokenSequence({ x, positions, kept, cls, mask }: SequenceInput): Tensor {
  const [B, K] = expectShape(kept, ['B', 'K'], 'tokenSequence: kept')
  const [, , D] = expectShape(x, [B, cls ? K : K + 1, 'D'], 'tokenSequence: x')
  const [N] = expectShape(positions, ['N', D], 'tokenSequence: positions')
  if (hasKernels(x.device))
    return call('sherd::tokens', x, positions, kept, cls ?? null, mask?.token ?? null, mask?.hidden ?? null)
  return scope(() => {
    const everywhere = expand(positions, [B, N, D])
    const parts = [
      cls ? expand(cls, [B, 1, D]) : narrow(x, 1, 0, 1),
      add(cls ? x : narrow(x, 1, 1, K), take(everywhere, kept)),
    ]
    if (mask) parts.push(add(mask.token, take(everywhere, mask.hidden)))
    return cat(parts, 1)
  })
}
