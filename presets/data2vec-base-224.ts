/**
 * data2vec, ViT-B/16, 224 × 224 pixels. The recipe of Baevski et al. 2022 as the README of their code (data2vec_vision) gives it, with the defaults of
 * run_cyclical.py: 120 of 196 patches in blocks of at least 16, the last six blocks, momentum 0.9998 throughout (it rises over `ema_start_at` steps, which is 0).
 * Left out: the colour jitter of 0.4, stochastic depth of 0.25, dropout of attention of 0.05, a warm-up that begins at 1e-6.
 *   sherd pretrain data2vec-base-224 --data imagenet/train --out runs/data2vec
 * Cost: 800 epochs in batches of 2048; not run here.
 * Expected: 84.2 % after fine-tuning, by the paper.
 * Measured: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary:
    'features of a teacher that follows the model under block masks, as published, on 224 × 224 images',
  config: {
    objective: 'data2vec',
    data: { scale: [0.08, 1] },
    model: { size: 'base' },
    mask: { kind: 'block', ratio: 0.61, minBlock: 16 },
    optim: {
      ...{ baseLearningRate: 2.5e-4, minLearningRate: 1e-5, warmupFraction: 10 / 800 },
      ...{ beta2: 0.999, clipGradientNorm: 3 },
    },
    train: { batchSize: 64, accumulate: 32, epochs: 800 },
  },
}
