/** How an encoder's heads share their attention among the patches of an image (Caron et al. 2021), apart from the tokens in front of them. */
import { SherdError } from '../errors.ts'
import { type Attending as AttendingTokens, attentionRows } from '../model/attention-rows.ts'
import type { Tap } from '../model/block.ts'
import type { Encoded } from '../model/encoder.ts'
import { hasPooling } from '../model/features.ts'
import { poolingShares } from '../model/own-output.ts'
import { weightsOf } from '../model/parameters.ts'
import { reshape } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { FrozenEncoder } from '../weights/frozen-encoder.ts'

/** Whose attention it is: that of the cls token, of the query of attention pooling, or the mean over the patches. */
export type Attending = AttendingTokens | 'pooling'

export interface Attention {
  readonly of: Attending
  /** Counted from 0; null for attention pooling, which is behind the blocks. */
  readonly block: number | null
  readonly taps: readonly Tap[]
  /** [A, P + N] of one image. */
  readonly read: (encoded: Encoded) => Tensor
}

/** Throws `USAGE` for a block that there is not. */
export function expectBlock(block: number | undefined, depth: number): void {
  if (block !== undefined && block >= depth)
    throw new SherdError(
      'USAGE',
      `--block ${block}: expected a whole number below ${depth}, the number of the blocks of this encoder.`,
    )
}

/**
 * What is looked at. `block`: default the last; where there is no cls token but attention pooling, by default that. Throws as `expectBlock`.
 */
export function attentionOf(encoder: FrozenEncoder, block?: number): Attention {
  const { dimensions: d, parameters } = encoder
  expectBlock(block, d.depth)
  const byHead = (shares: Tensor) => reshape(shares, [d.heads, -1])
  if (block === undefined && hasPooling(encoder))
    return {
      ...{ of: 'pooling', block: null, taps: [] },
      read: (encoded) => byHead(poolingShares(encoded, weightsOf(parameters), d)),
    }
  const own = block ?? d.depth - 1
  const { of, tap, read } = attentionRows(d)
  return { of, block: own, taps: [tap(own)], read: ({ taps: [tapped] }) => byHead(read(tapped!)) }
}
