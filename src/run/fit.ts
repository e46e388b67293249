/**
 * `hours`: how many steps end in time. They are measured before the run begins, by a few steps on its own batches, whose results are thrown
 * away: the run that follows is that of as many steps (`train.steps` in its configuration), bit for bit.
 */
import { rmSync } from 'node:fs'
import { saveCheckpoint } from '../checkpoint/checkpoint.ts'
import { effectiveBatch } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { drawLossCurve, type LossPoint } from '../picture/loss-curve.ts'
import { drawReconstructions } from '../picture/reconstruction-grid.ts'
import { takeSteps } from './loop.ts'
import { stepsAhead } from './pace.ts'
import { hasPictures, reconstructExhibit } from './pictures.ts'
import { beginAgain } from './recover.ts'
import type { Fitted, Run } from './run.ts'
import { cadenceOf, coldSteps, type RunCost, secondsOfRun, stepsWithin, typicalStep } from './run-cost.ts'

type Measurable = Omit<Run, 'close'>

/** More steps than any run has. */
export const COUNTLESS = 1e9
/** Of the time: machines become slower when they are warm, and what was measured is no more exact. */
const MARGIN = 0.02
const MANY_TIMED = 20
const FEW_TIMED = 3
/** Of the time, that measuring steps should take, and may. */
const SHARES = { usual: 0.02, most: 0.2 }
const LONGEST = 30 // s

export interface FitOptions {
  readonly hours: number
  /** Seconds since the run was asked for. */
  readonly elapsed: () => number
  readonly signal?: AbortSignal
}

/**
 * Throws `USAGE` if not even one step ends in time, or where it is stopped, and whatever training throws. The state of the run is at its
 * beginning again when it returns.
 */
export async function fitToHours(run: Measurable, options: FitOptions): Promise<Fitted> {
  const { hours, elapsed, signal } = options
  const { config, source } = run
  const stopIfAsked = () => {
    if (signal?.aborted)
      throw new SherdError('INTERRUPTED', 'Stopped before the run began. Nothing was written.')
  }
  const points = await timedSteps(run, options)
  stopIfAsked()
  const step = typicalStep(
    points.map(({ seconds }) => seconds),
    stepsAhead(config),
  )
  const beside = await timedBeside(run, points)
  stopIfAsked()
  await beginAgain(run.state, run.start)
  const cadence = cadenceOf(config)
  const cost: RunCost = { open: elapsed(), step, ...beside }
  const budget = 3600 * hours * (1 - MARGIN)
  const steps = stepsWithin(cost, cadence, budget)
  if (steps === 0) {
    const least = Math.ceil(100 * (secondsOfRun(cost, cadence, 10) / 3600 / (1 - MARGIN))) / 100
    throw new SherdError(
      'USAGE',
      `--hours ${hours} is too short for a single step: a step takes ${step.toPrecision(2)} s here, and the start took ${elapsed().toFixed(0)} s. Give at least ${least}.`,
    )
  }
  return {
    ...{ hours, steps, epochs: (steps * effectiveBatch(config)) / source.files.length },
    ...{ imagesPerSecond: effectiveBatch(config) / step, cost, seconds: secondsOfRun(cost, cadence, steps) },
  }
}

async function timedSteps(
  run: Measurable,
  { hours, elapsed, signal = new AbortController().signal }: FitOptions,
) {
  const cold = coldSteps(stepsAhead(run.config))
  const wanted = Math.min(LONGEST, SHARES.usual * 3600 * hours)
  const points: (LossPoint & { seconds: number })[] = []
  let [timed, total] = [0, 0]
  // Files that cannot be used are listed by the run itself.
  for await (const event of takeSteps(run, { signal, onSkip() {} })) {
    if (event.kind !== 'step') continue
    const { step, loss, stepSeconds } = event
    points.push({ step, loss, seconds: stepSeconds })
    if (points.length <= cold) continue
    timed++
    total += stepSeconds
    const isEnough = timed >= MANY_TIMED || (timed >= FEW_TIMED && total >= wanted)
    if (isEnough || elapsed() > SHARES.most * 3600 * hours) break
  }
  return points
}

async function timedBeside(
  run: Measurable,
  points: readonly LossPoint[],
): Promise<Omit<RunCost, 'open' | 'step'>> {
  const { config, state, model, exhibit, look, paths } = run
  const timed = async (body: () => unknown) => {
    const started = performance.now()
    await body()
    return (performance.now() - started) / 1000
  }
  const checkpoint = await timed(() => {
    try {
      saveCheckpoint(paths.measuring, state, { keep: 1 })
    } finally {
      rmSync(paths.measuring, { recursive: true, force: true })
    }
  })
  const picture =
    config.log.pictureEverySteps > 0 && hasPictures(model)
      ? await timed(() =>
          drawReconstructions(reconstructExhibit(model, exhibit, config.train.seed), { step: 0 }),
        )
      : 0
  const probe = look ? await timed(() => look(0)) : 0
  return { checkpoint, picture, probe, curve: await timed(() => drawLossCurve({ points })) }
}
