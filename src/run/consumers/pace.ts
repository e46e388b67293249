/** Says how fast the run is, after every step, and what the whole costs, once some steps were timed. */
import { effectiveBatch } from '../../config/resolve.ts'
import type { CostEvent, RunProgress } from '../events.ts'
import type { Pace } from '../pace.ts'
import type { Run } from '../run.ts'
import { cadenceOf, secondsLeft } from '../run-cost.ts'
import type { Consumer } from './consumer.ts'

/** Steps before the cost is said: those that warm up, and a few to take the median of. */
const ENOUGH_STEPS = 10
/** Where steps are slow, fewer must do. */
const ENOUGH_SECONDS = 60
/** A first probe can change much: so much of the cost that was said before, and so many seconds, are said again. */
const NEWS = { share: 0.1, seconds: 60 }

export function followPace(run: Run, pace: Pace, onProgress?: (progress: RunProgress) => void): Consumer {
  const { config, source, recipe, state } = run
  const { totalSteps } = recipe
  let timed = 0
  let samples = 0
  let latest: CostEvent | null = null
  const costOf = (): CostEvent => {
    const { step: stepSeconds, ...beside } = pace.cost()!
    const [from, to] = [state.step, totalSteps]
    const without = { step: stepSeconds, checkpoint: 0, picture: 0, probe: 0, curve: 0 }
    const left = (cost: typeof without) => secondsLeft(cost, cadenceOf(config), { from, to })
    return {
      ...{ kind: 'cost', step: from, totalSteps, images: source.files.length },
      epochs: (totalSteps * effectiveBatch(config)) / source.files.length,
      ...{ stepSeconds, imagesPerSecond: effectiveBatch(config) / stepSeconds },
      secondsLeft: left({ ...without, ...beside }),
      besideSeconds: left({ ...without, ...beside }) - left(without),
    }
  }
  return {
    on(event) {
      if (event.kind !== 'step') return []
      const { step, stepSeconds, dataWaitSeconds } = event
      pace.stepped(stepSeconds, dataWaitSeconds)
      timed += stepSeconds
      samples += effectiveBatch(config)
      onProgress?.({
        ...{ doing: 'step', step, totalSteps, last: event },
        ...{ secondsLeft: pace.left(step), imagesPerSecond: pace.imagesPerSecond() },
      })
      const isKnown = pace.steps() >= ENOUGH_STEPS || (pace.steps() > 1 && timed >= ENOUGH_SECONDS)
      if (!isKnown || step === totalSteps) return []
      const cost = costOf()
      // What is left shrinks from step to step; only what is done beside the steps can surprise.
      const more = latest === null ? Number.POSITIVE_INFINITY : cost.besideSeconds - latest.besideSeconds
      if (more <= NEWS.seconds || more <= NEWS.share * (latest?.secondsLeft ?? 0)) return []
      latest = cost
      return [cost]
    },
    summary: () => ({ imagesPerSecond: timed > 0 ? samples / timed : null }),
  }
}
