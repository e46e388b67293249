/** How an encoder's heads share their attention among the patches of an image (Caron et al. 2021), apart from the tokens in front of them. */
import { SherdError } from '../errors.ts'
import type { Tap } from '../model/block.ts'
import { prefixOf } from '../model/dimensions.ts'
import type { Encoded } from '../model/encoder.ts'
import { wholeFeaturesOf } from '../model/features.ts'
import { poolingShares } from '../model/own-output.ts'
import { weightsOf } from '../model/parameters.ts'
import { meanOver, narrow, reshape } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type Prefix, prefixLength } from '../token/prefix.ts'
import type { FrozenEncoder } from '../weights/frozen-encoder.ts'

/** Whose attention it is: that of the cls token, of the query of attention pooling, or the mean over the patches. */
export type Attending = 'cls' | 'pooling' | 'patches'

export interface Attention {
  readonly of: Attending
  /** Counted from 0; null for attention pooling, which is behind the blocks. */
  readonly block: number | null
  readonly taps: readonly Tap[]
  /** [A, P + N] of one image. */
  readonly read: (encoded: Encoded) => Tensor
}

const clsAt = (prefix: Prefix): number => {
  const at = prefix.findIndex(({ kind }) => kind === 'cls')
  return at < 0 ? -1 : prefixLength(prefix.slice(0, at))
}

/**
 * What is looked at. `block`: default the last; where there is no cls token but attention pooling, by default that. Throws `USAGE` for a
 * block that there is not.
 */
export function attentionOf(encoder: FrozenEncoder, block?: number): Attention {
  const { dimensions: d, parameters } = encoder
  if (block !== undefined && block >= d.depth)
    throw new SherdError(
      'USAGE',
      `--block ${block}: expected a whole number below ${d.depth}, the number of the blocks of this encoder.`,
    )
  const cls = clsAt(prefixOf(d))
  const hasPooling = d.variant?.attentionPool && wholeFeaturesOf(encoder).includes('pooled')
  const byHead = (shares: Tensor) => reshape(shares, [d.heads, -1])
  if (cls < 0 && block === undefined && hasPooling)
    return {
      ...{ of: 'pooling', block: null, taps: [] },
      read: (encoded) => byHead(poolingShares(encoded, weightsOf(parameters), d)),
    }
  const own = block ?? d.depth - 1
  if (cls >= 0)
    return {
      ...{ of: 'cls', block: own, taps: [{ block: own, of: 'attention', queries: cls + 1 }] },
      read: ({ taps: [shares] }) => byHead(narrow(shares!, 2, cls, 1)),
    }
  return {
    ...{ of: 'patches', block: own, taps: [{ block: own, of: 'attention' }] },
    read({ taps: [shares], prefix }) {
      const P = prefixLength(prefix)
      return byHead(meanOver(narrow(shares!, 2, P, shares!.shape[2]! - P), [2]))
    },
  }
}

export interface HeadMap {
  /** [N] as the softmax gives them: with `prefix` they sum to 1. */
  readonly patches: Float32Array
  /** What falls on cls tokens and registers. */
  readonly prefix: number
}

/** `shares`: [A, P + N] */
export function headMaps(shares: Float32Array, heads: number, prefix: Prefix): HeadMap[] {
  const [each, P] = [shares.length / heads, prefixLength(prefix)]
  return Array.from({ length: heads }, (_, head) => {
    const own = shares.subarray(head * each, (head + 1) * each)
    return { patches: own.slice(P), prefix: own.subarray(0, P).reduce((sum, share) => sum + share, 0) }
  })
}
