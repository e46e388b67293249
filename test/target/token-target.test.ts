import { describe, expect, it } from 'vitest'
import { weightsOf } from '../../src/model/parameters.ts'
import { mae } from '../../src/objective/mae.ts'
import type { TargetMaker } from '../../src/target/target.ts'
import { tokenTarget } from '../../src/target/token-target.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { meanOver, square, sub } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item } from '../../src/tensor/tensor.ts'
import { patchifyGroups } from '../../src/token/patchify.ts'
import { stirredParameters, tinyDecoder } from '../model/tiny-model.ts'
import { groups, series, seriesValues, viewsOfValues } from '../model/tiny-series.ts'
import { expectClose, numbers } from '../tolerance.ts'

/** The mean of each patch, that of docs/adding.md. */
const brightness: TargetMaker = ({ groups }) =>
  tokenTarget({
    part: 'brightness',
    widths: Object.fromEntries(groups.map(({ head }) => [head, 1])),
    of: ({ cut }) => cut.patches.map((patches) => meanOver(patches, [2], true)),
    error: (predicted, wanted) => meanOver(square(sub(predicted, wanted)), [1]),
  })

describe('a target of a vector for each token', () => {
  const objective = mae({
    ...series,
    decoder: tinyDecoder,
    maskRatio: 0.6,
    target: brightness,
    device: 'cpu',
  })
  const weights = weightsOf(stirredParameters(objective))
  const samples = { epochs: [0, 0], indices: [0, 1] }
  const quiet = <R>(body: () => R): R => noGrad(() => scope(body))

  it('has a head of its width for each group, and the loss is the mean error of all hidden tokens', () =>
    quiet(() => {
      const heads = objective.rows.filter(({ name }) => /^decoder_pred\.\d\.bias/.test(name))
      expect(heads.map(({ shape }) => shape)).toEqual([[1], [1]])
      const image = viewsOfValues(2, seriesValues(2))
      const plan = objective.plan({ seed: 1, samples })
      const { parts } = objective.loss(weights, { image }, plan)
      expect(Object.keys(parts)).toEqual(['brightness'])
      const errors = objective.errors(weights, image, plan)
      expect(errors.shape).toEqual([2, objective.tokens])
      const [all, hidden] = [numbers(errors), numbers(plan.hidden)]
      const each = hidden.map((n, i) => all[Math.floor((i * 2) / hidden.length) * objective.tokens + n]!)
      expectClose([item(parts.brightness!.mean)], [each.reduce((a, b) => a + b, 0) / each.length], 1e-6)
      // By hand, of the token 0: what its head says, and the mean of its patch.
      const said = numbers(objective.predict(weights, image, plan).prediction)
      const patch = numbers(meanOver(patchifyGroups(image.pixels, groups, 2)[0]!, [2], true))
      expectClose([all[0]!], [(said[0]! - patch[0]!) ** 2], 1e-6)
    }))

  it('refuses views that lack data', () =>
    quiet(() => {
      const values = seriesValues(2)
      values[0] = Number.NaN
      const image = viewsOfValues(2, values)
      const plan = objective.plan({ seed: 1, samples })
      expect(() => objective.loss(weights, { image }, plan)).toThrow(/Leave samples with gaps out/)
    }))
})
