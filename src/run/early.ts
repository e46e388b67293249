/**
 * The early look at a run: one step after which the first picture, probe and checkpoint are made, long before they are due, so that a user
 * sees that they work and that something is learned. It depends on the clock, so nothing that is computed may depend on it: a rollback does
 * not go to its checkpoint (recover.ts).
 */

export interface EarlyOptions {
  readonly totalSteps: number
  readonly firstStep: number
  /** `log.earlySeconds`. */
  readonly seconds: number
  /** Milliseconds that only grow. */
  readonly now?: () => number
}

/** Weights before it have hardly been changed: with a warm-up the first step has a rate of 0. */
const USEFUL = 2
/** 1 % of fewer steps is so few that nothing is to be seen. */
const LONG = 1000

const stepByShare = (totalSteps: number) =>
  totalSteps >= LONG ? Math.ceil(totalSteps / 100) : Number.POSITIVE_INFINITY

/** The step of the look of a run whose steps take so long; infinity without one. */
export const expectedLook = ({
  totalSteps,
  stepSeconds,
  seconds,
}: Pick<EarlyOptions, 'totalSteps' | 'seconds'> & { readonly stepSeconds: number }): number =>
  seconds === 0
    ? Number.POSITIVE_INFINITY
    : Math.max(USEFUL, Math.min(stepByShare(totalSteps), Math.ceil(seconds / stepSeconds)))

/** Whether a step is the one. A run that continues has had its look. */
export function openEarly({ totalSteps, firstStep, seconds, now = () => performance.now() }: EarlyOptions) {
  const byShare = stepByShare(totalSteps)
  const started = now()
  let moment = firstStep > 0 || seconds === 0 ? -1 : null
  return (step: number): boolean => {
    if (moment === null && step >= USEFUL && (step >= byShare || now() - started >= 1000 * seconds))
      moment = step
    return step === moment
  }
}
