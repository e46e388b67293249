import { describe, expect, it } from 'vitest'
import { recipeOf } from '../../src/config/recipe.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { valuesAt } from '../../src/optim/schedule.ts'

const recipe = (optim: NonNullable<ConfigInput['optim']>) =>
  recipeOf(resolveConfig({ optim, train: { steps: 100, batchSize: 256 } }), 1000)
const at = (step: number, optim: NonNullable<ConfigInput['optim']>) => {
  const { schedules, totalSteps } = recipe(optim)
  return valuesAt(schedules, { step, epoch: (step * 256) / 1000, stepsPerEpoch: 1000 / 256, totalSteps })
}

describe('the recipe of a run', () => {
  it('warms the learning rate up and lets it fall', () => {
    const optim = { baseLearningRate: 1, warmupSteps: 10 }
    expect([0, 5, 10, 55].map((step) => at(step, optim).learningRate)).toEqual([
      0,
      0.5,
      1,
      expect.closeTo(0.5, 12),
    ])
    expect(recipe(optim)).toMatchObject({ peak: 1, totalSteps: 100, clip: null })
  })

  it('keeps the weight decay, or takes it along half a cosine', () => {
    expect([0, 50, 99].map((step) => at(step, {}).weightDecay)).toEqual([0.05, 0.05, 0.05])
    const grows = { weightDecay: 0.04, finalWeightDecay: 0.4 }
    const decays = [0, 25, 50].map((step) => at(step, grows).weightDecay)
    for (const [i, expected] of [0.04, 0.4 - 0.18 * (1 + Math.SQRT1_2), 0.22].entries())
      expect(decays[i]).toBeCloseTo(expected, 12)
  })

  it('has the optimizer and the clip rule of the configuration', () => {
    const { optimizer, clip } = recipe({ optimizer: 'lars', clipGradientNorm: 3, clipBy: 'tensor' })
    expect([optimizer.slots, clip]).toEqual([['momentum_buffer'], { by: 'tensor', most: 3 }])
  })
})
