/** How `verify` builds the toy objective of the tests from a reference file: what a row of a new objective looks like. */

import { z } from 'zod'
import { call } from '../../src/tensor/call.ts'
import { square, sub, unsqueeze } from '../../src/tensor/ops.ts'
import { sidesOf } from '../../src/token/grid.ts'
import type { NetworkRow } from '../../src/verify/network-row.ts'
import { byStep } from '../../src/verify/recipe.ts'
import { type ToyPlan, type TwoViews, toyObjective } from '../objective/toy.ts'

const side = z.int().min(1).max(64)
const config = z.strictObject({
  ...{ imageSize: z.tuple([side, side]), patchSize: side.transform(sidesOf), channels: side },
  ...{ width: side, depth: side, heads: side, mlpRatio: side },
  ...{ embedding: z.literal(8), codes: z.literal(4), frozenSteps: z.literal(2) }, // constants of the objective
  microBatches: side,
  momentum: byStep,
})

export const toyRow: NetworkRow<z.infer<typeof config>, TwoViews, ToyPlan> = {
  config,
  tolerances: 'selfDistillation',
  open({ momentum, microBatches, embedding, codes, frozenSteps, ...dimensions }, { tensor, input }) {
    const objective = toyObjective({ ...dimensions, layerNormEpsilon: 1e-6 })
    return {
      objective,
      samples: tensor('input.views').shape[1]!,
      microBatches,
      schedules: { momentum },
      batch: (of) => ({ one: input('views', of, 5, [0, 2]), other: input('views', of, 5, [1, 2]) }),
      plan: (at) => ({ factors: input('factors', at, 2) }),
      outputs(weights, batch, plan, at) {
        const features = objective.features(weights, batch, plan, at)
        const projector = {
          weight: weights('student.projector.weight'),
          bias: weights('student.projector.bias'),
        }
        const rows = call('linear', features.one!, projector.weight, projector.bias)
        const away = square(sub(unsqueeze(rows, 1), unsqueeze(weights('codebook'), 0)))
        return {
          ...features,
          codes: call('argmin', call('sum.dim_IntList', away, [2], false, null), 1, false),
        }
      },
    }
  },
}
