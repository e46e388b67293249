/** Optimizer and schedules of a run, from its configuration. */
import { SherdError } from '../errors.ts'
import { type RecipeSchedules, scaledLearningRate } from '../optim/schedule.ts'
import { updateOf } from '../optim/update.ts'
import { effectiveBatch, totalSteps } from './resolve.ts'
import type { Config } from './schema.ts'

/** For a data set of `samples`. Throws `CONFIG` for a warm-up as long as the run. */
export function recipeOf({ optim, ...config }: Config, samples: number) {
  const total = totalSteps(config, samples)
  const { baseLearningRate, minLearningRate, warmupFraction, warmupSteps, weightDecay, finalWeightDecay } =
    optim
  const warmup = warmupSteps ?? warmupFraction * total
  if (warmup >= total)
    throw new SherdError(
      'CONFIG',
      `${warmupSteps === null ? `optim.warmupFraction ${warmupFraction}` : `optim.warmupSteps ${warmupSteps}`} covers the whole run of ${total} ${total === 1 ? 'step' : 'steps'}: set less (the default is a twentieth of the run), or train longer.`,
    )
  const peak = scaledLearningRate(baseLearningRate, effectiveBatch(config))
  const { optimizer, clip = null } = updateOf(optim)
  // A warm-up below one step would only have its first rate.
  const learningRate = {
    kind: 'cosine',
    from: peak,
    to: minLearningRate,
    warmup: warmup < 1 ? 0 : warmup,
  } as const
  const schedules: RecipeSchedules = {
    learningRate,
    weightDecay: { kind: 'cosine', from: weightDecay, to: finalWeightDecay ?? weightDecay },
  }
  return { optimizer, clip, schedules, totalSteps: total, peak, warmup: Math.floor(warmup) }
}
