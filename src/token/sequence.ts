/** The sequence of tokens that a transformer gets. */
import { call } from '../tensor/call.ts'
import { requiresGradient } from '../tensor/context.ts'
import { hasKernels } from '../tensor/fused.ts'
import { add, cat, expand, indexSelect, narrow, reshape, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { take } from './take.ts'

export interface SequenceInput {
  /** [B, K, D] with `cls`; without it [B, P + K, D], and the first P tokens have no position. */
  readonly x: Tensor
  /** [N, D], float32; without `kept` [B, N, D], too. Null: none are added. */
  readonly positions: Tensor | null
  /** [B, K], the patch of each kept token; null: token n has position n. */
  readonly kept: Tensor | null
  /** [1, 1, D], a learned cls token to put in front. It has no position. */
  readonly cls?: Tensor
  /** P; 1 by default. */
  readonly prefix?: number
}

const clsRows = (cls: Tensor, { shape: [B, , D] }: Tensor) => expand(cls, [B!, 1, D!])

/** [B, P + K, D] in float32: the tokens without a position, and x plus its positions. */
export function tokenSequence({ x, positions, kept, cls, prefix: P = 1 }: SequenceInput): Tensor {
  if (positions === null) return scope(() => toDtype(cls ? cat([clsRows(cls, x), x], 1) : x, 'float32'))
  const [B, K] = kept
    ? expectShape(kept, ['B', 'K'], 'tokenSequence: kept')
    : ([x.shape[0]!, positions.shape.at(-2)!] as const)
  const [, , D] = expectShape(x, [B, cls ? K : P + K, 'D'], 'tokenSequence: x')
  const isShared = kept !== null || positions.shape.length === 2
  expectShape(positions, isShared ? ['N', D] : [B, 'N', D], 'tokenSequence: positions')
  const N = positions.shape.at(-2)!
  // The kernel has no gradient for positions, which most models compute: those that are parameters are learned without it.
  if (kept && P === 1 && hasKernels(x.device) && !requiresGradient(positions))
    return call('sherd::tokens', x, positions, kept, cls ?? null)
  return scope(() => {
    const where = kept ? take(expand(positions, [B, N, D]), kept) : positions
    return cat([cls ? clsRows(cls, x) : narrow(x, 1, 0, P), add(cls ? x : narrow(x, 1, P, K), where)], 1)
  })
}

/** Rows that many samples have in common: sample b has the rows `which[b]` of `table`. */
export interface TableRows {
  /** [S, D] */
  readonly table: Tensor
  /** [B, M], int64 */
  readonly which: Tensor
}

/** The rows of a table alone: [B, M, D]. */
export function rowsOfTable({ table, which }: TableRows): Tensor {
  const [, D] = expectShape(table, ['S', 'D'], 'rowsOfTable: table')
  const [B, M] = expectShape(which, ['B', 'M'], 'rowsOfTable: which')
  return scope(() => reshape(indexSelect(table, 0, reshape(which, [B * M])), [B, M, D]))
}

/** x [B, K, D] and behind it the rows of a table: [B, K + M, D]. */
export function appendRows(x: Tensor, { table, which }: TableRows): Tensor {
  const [B, , D] = expectShape(x, ['B', 'K', 'D'], 'appendRows: x')
  const [S] = expectShape(table, ['S', D], 'appendRows: table')
  expectShape(which, [B, 'M'], 'appendRows: which')
  if (hasKernels(x.device)) return call('sherd::append_rows', x, table, which)
  return scope(() => cat([x, take(expand(table, [B, S, D]), which)], 1))
}
