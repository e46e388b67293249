// Every objective and option in both precisions, by the fused kernels and by LibTorch's operators, on whatever CPU this is: a path
// is forced, never chosen. Where the addon has no kernels in bfloat16, "fused" is LibTorch's operators, too.

import { describe, expect, it } from 'vitest'
import { weightsOf } from '../../src/model/parameters.ts'
import { totalOf } from '../../src/objective/losses.ts'
import type { At } from '../../src/objective/objective.ts'
import { type Called, tensorsIn, witnessing } from '../../src/tensor/call.ts'
import { autocast, noGrad } from '../../src/tensor/context.ts'
import type { DType } from '../../src/tensor/dtype.ts'
import { withKernels } from '../../src/tensor/fused.ts'
import { scope } from '../../src/tensor/scope.ts'
import { expectClose } from '../tolerance.ts'
import { apart, measure, prepared, rows } from './precision-rows.ts'

/** Operators that take tensors of two types: by LibTorch's promotion to the wider one, or because autocast casts for them. */
const promoting = new Set(
  ['add.Tensor', 'cat', 'linear', 'matmul', 'conv2d', 'mse_loss'].map((name) => `aten::${name}`),
)

describe.each(Object.keys(rows))('%s', (name) => {
  const row = rows[name]!()
  const exact = measure(row, { kernels: 'composed', precision: 'float32' })

  it('float32: the kernels give what LibTorch’s operators give', () => {
    const fused = measure(row, { kernels: 'fused', precision: 'float32' })
    expectClose([fused.loss], [exact.loss], 1e-5)
    for (const [i, values] of exact.gradients.entries()) expectClose(fused.gradients[i]!, values, 2e-6)
    for (const [i, values] of exact.predicted.entries()) expectClose(fused.predicted[i]!, values, 1e-5)
  })

  it.each(['fused', 'composed'] as const)('bfloat16, %s: near float32, and another arithmetic', (kernels) => {
    const half = measure(row, { kernels, precision: 'bfloat16' })
    expect(half.loss).not.toBe(exact.loss)
    expect(Math.abs(half.loss / exact.loss - 1)).toBeLessThan(0.01)
    expect(apart(exact.gradients.flat(), half.gradients.flat())).toBeLessThan(row.isAbsolute ? 0.2 : 0.04)
    for (const [i, values] of exact.predicted.entries())
      expect(apart(values, half.predicted[i]!)).toBeLessThan(0.02)
    // Blocks that are computed again are computed in the same types.
    const again = measure(row, { kernels, precision: 'bfloat16', recompute: true })
    expect(again.loss).toBe(half.loss)
    expect(again.gradients).toEqual(half.gradients)
  })

  it('no operator is given two types of floats, but those that take them', () => {
    const { objective, parameters, make, at, planOf } = prepared(row, 'cpu')
    const mixing = new Set<string>()
    const floats = ['float32', 'bfloat16']
    const see = ({ name: operator, args }: Called) => {
      const types = new Set(tensorsIn(args).map(({ dtype }) => dtype))
      if (floats.every((type) => types.has(type as DType))) mixing.add(operator)
    }
    noGrad(() =>
      scope(() => {
        const { batch } = make()
        const plan = planOf(batch)
        if ('features' in objective) throw new Error('it has no loss of a batch')
        const { loss } = objective
        witnessing(see, () =>
          withKernels('composed', () =>
            autocast({ device: 'cpu', dtype: 'bfloat16' }, () =>
              totalOf(loss(weightsOf(parameters), batch, plan, at as At)),
            ),
          ),
        )
      }),
    )
    expect([...mixing].filter((operator) => !promoting.has(operator))).toEqual([])
  })
})
