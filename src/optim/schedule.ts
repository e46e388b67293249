/** The learning rate over a run: linear warm-up, then half a cosine, set anew before every step (He et al. 2021, A.1). */

export interface Schedule {
  /** The rate after warm-up. */
  readonly peak: number
  /** The rate that the cosine ends at. */
  readonly floor: number
  readonly warmupSteps: number
  readonly totalSteps: number
}

/** The peak rate for an effective batch: base · batch / 256 (linear scaling rule, Goyal et al. 2017). */
export const scaledLearningRate = (base: number, effectiveBatch: number): number =>
  (base * effectiveBatch) / 256

/** The rate of step `step` = 0, 1, …; the first step of a warm-up has rate 0, as in the reference. */
export function learningRateAt(step: number, { peak, floor, warmupSteps, totalSteps }: Schedule): number {
  if (step < warmupSteps) return (peak * step) / warmupSteps
  const progress = (step - warmupSteps) / Math.max(1e-9, totalSteps - warmupSteps)
  return floor + (peak - floor) * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, progress)))
}
