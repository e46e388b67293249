/** How a run updates its weights, from its configuration: the optimizer, and what changes over the steps. */
import type { Clip } from '../optim/gradients.ts'
import type { RecipeSchedules } from '../optim/schedule.ts'
import { type UpdateOptions, updateOf } from '../optim/update.ts'
import { scheduleOf } from './resolve.ts'
import type { Config } from './schema.ts'

export interface Recipe extends Pick<UpdateOptions, 'optimizer'> {
  readonly clip: Clip | null
  readonly schedules: RecipeSchedules
  readonly totalSteps: number
  /** The learning rate after warm-up. */
  readonly peak: number
}

/** Of a run over `samples` samples. Throws `CONFIG` for a warm-up that covers it. */
export function recipeOf(config: Config, samples: number): Recipe {
  const { peak, floor, warmupSteps, totalSteps } = scheduleOf(config, samples)
  const { optimizer, clip = null, weightDecay } = updateOf(config.optim)
  const { finalWeightDecay } = config.optim
  return {
    ...{ optimizer, clip, totalSteps, peak },
    schedules: {
      learningRate: { kind: 'cosine', from: peak, to: floor, warmup: warmupSteps },
      weightDecay:
        finalWeightDecay === null
          ? { kind: 'constant', value: weightDecay }
          : { kind: 'cosine', from: weightDecay, to: finalWeightDecay },
    },
  }
}
