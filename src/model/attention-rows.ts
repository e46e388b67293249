/** How the cls token shares its attention out, block by block: what attention maps are drawn from (Caron et al. 2021). */
import { cat, select, unsqueeze } from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { BlocksOptions } from './block.ts'

/** Gives what `body` gives, and with it the row of cls [B, L, A, 1 + N] of each of L blocks and A heads. Called inside a scope. */
export function withClsAttention<T>(body: (options: Required<Pick<BlocksOptions, 'onAttention'>>) => T): {
  readonly made: T
  readonly attention: Tensor
} {
  const rows: Tensor[] = [] // which outlive the scopes of their blocks
  try {
    const made = body({
      onAttention: (probabilities) => rows.push(unscoped(() => select(probabilities, 2, 0))),
    })
    return {
      made,
      attention: scope(() =>
        cat(
          rows.map((row) => unsqueeze(row, 1)),
          1,
        ),
      ),
    }
  } finally {
    for (const row of rows) row.dispose()
  }
}
