/** The tokens in front of those of the patches: cls tokens, registers (Darcet et al. 2024). Nothing else counts or finds them. */
import { SherdError } from '../errors.ts'
import { narrow, select } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'

export interface PrefixTokens {
  /** Of their parameter [1, count, D]. */
  readonly name: string
  readonly kind: 'cls' | 'register'
  readonly count: number
  /** Whether a learned table of positions has rows for them, in front of those of the patches. */
  readonly positioned: boolean
}

/** In the order of the sequence. */
export type Prefix = readonly PrefixTokens[]

/** One cls token without a position. */
export const clsPrefix: Prefix = [{ name: 'cls_token', kind: 'cls', count: 1, positioned: false }]

/** Registers, but for their number. */
export const registerTokens = { name: 'register_tokens', kind: 'register', positioned: false } as const

const total = (prefix: Prefix) => prefix.reduce((sum, { count }) => sum + count, 0)

/** P */
export const prefixLength = (prefix: Prefix): number => total(prefix)

/** How many of them have a row in a learned table of positions. */
export const positionedLength = (prefix: Prefix): number =>
  total(prefix.filter(({ positioned }) => positioned))

/** Tokens behind their prefix. */
export interface Prefixed {
  /** [B, P + K, D] */
  readonly sequence: Tensor
  readonly prefix: Prefix
}

/** [B, K, D] */
export function patchesOf({ sequence, prefix }: Prefixed): Tensor {
  const P = prefixLength(prefix)
  return narrow(sequence, 1, P, sequence.shape[1]! - P)
}

/** [B, D], the first cls token. Throws `VALUE` where there is none. */
export function clsOf({ sequence, prefix }: Prefixed): Tensor {
  const at = prefix.findIndex(({ kind }) => kind === 'cls')
  if (at < 0)
    throw new SherdError('VALUE', 'This encoder has no cls token: take the mean of the tokens of the patches')
  return select(sequence, 1, prefixLength(prefix.slice(0, at)))
}
