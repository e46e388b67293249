/**
 * data2vec, ViT-B/16, 224 × 224 pixels, with the published recipe for ImageNet (Baevski et al. 2022): 120 of 196 patches in blocks of at least
 * 16, the last six blocks, momentum 0.9998 throughout.
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
    model: { size: 'base' },
    mask: { kind: 'block', ratio: 0.61, minBlock: 16 },
    optim: { baseLearningRate: 2.5e-4, beta2: 0.999, clipGradientNorm: 3, warmupFraction: 0.0125 },
    train: { batchSize: 64, accumulate: 32, epochs: 800 },
  },
}
