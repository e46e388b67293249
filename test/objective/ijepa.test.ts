// What pictures of I-JEPA show: blocks that overlap, and two contexts.
import { expect, it } from 'vitest'
import { initialParameters, weightsOf } from '../../src/model/parameters.ts'
import { allRows } from '../../src/objective/averages.ts'
import { ijepa } from '../../src/objective/ijepa.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { liveTensors } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { tiny } from '../model/tiny-model.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'

const objective = ijepa({
  dimensions: { ...tiny, variant: { prefix: [] } },
  predictor: { width: 16, depth: 1, heads: 2 },
  mask: {
    ...{ targets: 3, targetScale: [0.2, 0.3], targetAspect: [0.75, 1.5] },
    ...{ contexts: 2, contextScale: [0.85, 1], contextAspect: [1, 1], minKeep: 1 },
  },
  momentum: { from: 0.9, to: 1, over: null },
  device: 'cpu',
})
const weights = weightsOf(initialParameters(allRows(objective), { seed: 3, device: 'cpu' }))
const B = 3
const [H, W] = tiny.imageSize
const image = viewOf(tensor(Array.from({ length: B }, (_, b) => wave(3 * H * W, b)).flat(), [B, 3, H, W]))
const at = {
  ...{ seed: 1, step: 0, epoch: 0, firstRow: 0, rows: B, value: { momentum: 0.9 } },
  samples: { epochs: new Int32Array(B), indices: [0, 1, 2] },
  collective: {} as never,
}
/** Of a tensor [rows …]. */
const nested = (values: readonly number[], width: number) =>
  Array.from({ length: values.length / width }, (_, i) => values.slice(i * width, (i + 1) * width))
const smoothL1 = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, x, i) => {
    const d = Math.abs(x - b[i]!)
    return sum + (d < 1 ? 0.5 * d * d : d - 0.5)
  }, 0) / a.length

it('shows what is predicted of each token, the mean over the blocks that have it, beside what the teacher says', () => {
  noGrad(() => {
    const plan = objective.plan(at)
    const { prediction } = objective.predict(weights, image, plan)
    const wanted = numbers(objective.wanted(weights, image))
    const [, P, M] = plan.targets.shape as readonly [number, number, number]
    const [, E] = plan.context.shape as readonly [number, number]
    const D = tiny.width
    const N = wanted.length / B / D
    const of = nested(wanted, D)
    const said = nested(numbers(prediction), D) // [P, E, B, M]
    const [context, targets] = [plan.context, plan.targets].map((x) => nested(numbers(x), x.shape[2]!))
    const expected = Array.from({ length: B * N }, (_, row) => {
      const [b, n] = [Math.floor(row / N), row % N]
      const made = Array.from({ length: P * E * M }, (_, i) => {
        const [p, e, m] = [Math.floor(i / E / M), Math.floor(i / M) % E, i % M]
        return targets![b * P + p]![m] === n ? [said[((p * E + e) * B + b) * M + m]!] : []
      }).flat()
      const mean = (values: readonly number[]) => values.reduce((a, x) => a + x, 0) / (made.length || 1)
      return {
        hidden: context!.slice(b * E, (b + 1) * E).some((block) => block.includes(n)) ? 0 : 1,
        predicted: made.length > 0 ? 1 : 0,
        blocks: made.length,
        said: Array.from({ length: D }, (_, d) => mean(made.map((each) => each[d]!))),
        error: mean(made.map((each) => smoothL1(each, of[row]!))),
      }
    })
    const blocks = expected.map((each) => each.blocks)
    expect([...new Set(blocks)].length).toBeGreaterThan(2) // some tokens are in one block, others in several or none

    const before = liveTensors()
    const { hidden, predicted, shown } = objective.show!(weights, { image }, at)
    const [features, errors] = shown
    if (features?.kind !== 'features' || errors?.kind !== 'errors') throw new Error('unexpected kinds')
    expect(numbers(hidden!)).toEqual(expected.map((each) => each.hidden))
    expect(numbers(predicted!)).toEqual(expected.map((each) => each.predicted))
    expect(numbers(features.wanted)).toEqual(wanted)
    expectClose(
      numbers(features.said),
      expected.flatMap((each) => each.said),
      1e-6,
    )
    expectClose(
      numbers(errors.errors),
      expected.map((each) => each.error),
      1e-6,
    )
    for (const each of [hidden, predicted, features.wanted, features.said, errors.errors]) each!.dispose()
    expect(liveTensors()).toBe(before)
  })
})
