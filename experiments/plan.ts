/** How a budget of time is spent: on pretraining, on reading features, and on fine-tuning with and without it. */

export interface Budget {
  /** Minutes in all. */
  readonly minutes: number
  /** Images a second of a pretraining step on this machine. */
  readonly pretrainRate: number
  readonly trainImages: number
  readonly testImages: number
  /** Share of the training images whose labels fine-tuning and ablations may see. */
  readonly labelled: number
  readonly seeds: number
  /** How many shorter pretrainings there are beside the one. */
  readonly ablations: number
}

export interface Plan {
  readonly pretrainEpochs: number
  /** Of each ablation. */
  readonly ablationEpochs: number
  /** Of each fine-tuning, and of each training from scratch. */
  readonly tuneEpochs: number
}

// Measured on ViT-Tiny/4 beside a pretraining step, which computes a quarter of the encoder and a small decoder.
const TUNE_SPEED = 0.55
const FEATURE_SPEED = 1.8
const FEATURE_PASSES = 2 // of the random and of the pretrained encoder
const ABLATION_SHARE = 0.25 // of the pretraining's epochs

/** Half of what features leave goes to pretraining and its ablations, half to fine-tuning; each at least one epoch. */
export function planBudget(budget: Budget): Plan {
  const { minutes, pretrainRate, trainImages, testImages, labelled, seeds, ablations } = budget
  const whole = FEATURE_PASSES * (trainImages + testImages)
  const few = ablations * (labelled * trainImages + testImages)
  const left = Math.max(0, 60 * minutes - (whole + few) / (FEATURE_SPEED * pretrainRate))
  const seen = (left / 2) * pretrainRate // images, in all pretrainings
  const pretrainEpochs = Math.max(1, Math.round(seen / (trainImages * (1 + ablations * ABLATION_SHARE))))
  const tuned = (left / 2) * TUNE_SPEED * pretrainRate // images, in both kinds of runs and all seeds
  return {
    pretrainEpochs,
    ablationEpochs: Math.max(1, Math.round(pretrainEpochs * ABLATION_SHARE)),
    tuneEpochs: Math.max(1, Math.round(tuned / (2 * seeds * labelled * trainImages))),
  }
}
