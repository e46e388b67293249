/** How a budget of time is spent: on pretraining, on reading features, and on fine-tuning with and without it. */

export interface Budget {
  /** Minutes in all. */
  readonly minutes: number
  /** Images a second of a pretraining step on this machine. */
  readonly pretrainRate: number
  readonly trainImages: number
  readonly testImages: number
  /** Share of the training images whose labels fine-tuning may see. */
  readonly labelled: number
  readonly seeds: number
}

export interface Plan {
  readonly pretrainEpochs: number
  /** Of each fine-tuning, and of each training from scratch. */
  readonly tuneEpochs: number
}

// Measured on ViT-Tiny/4 beside a pretraining step, which computes a quarter of the encoder and a small decoder.
const TUNE_SPEED = 0.55
const FEATURE_SPEED = 1.8
const FEATURE_PASSES = 4 // nearest neighbours and the linear probe, of a random and of the pretrained encoder

/** Half of what features leave goes to pretraining, half to fine-tuning; each at least one epoch. */
export function planBudget({
  minutes,
  pretrainRate,
  trainImages,
  testImages,
  labelled,
  seeds,
}: Budget): Plan {
  const features = (FEATURE_PASSES * (trainImages + testImages)) / (FEATURE_SPEED * pretrainRate)
  const left = Math.max(0, 60 * minutes - features)
  const tuned = (left / 2) * TUNE_SPEED * pretrainRate // images, in both kinds of runs and all seeds
  return {
    pretrainEpochs: Math.max(1, Math.round((left / 2) * (pretrainRate / trainImages))),
    tuneEpochs: Math.max(1, Math.round(tuned / (2 * seeds * labelled * trainImages))),
  }
}
