/**
 * SimMIM, ViT-Base/16, 224 × 224 pixels. The recipe of Xie et al. 2022 as in simmim_pretrain__vit_base__img224__800ep.yaml and config.py of its code:
 * ⌈0.6 · 49⌉ = 30 of 49 cells of 32 pixels, a rate of 1e-4 for 512 images. The batch of 2048 is that of its README (16 × 128), given there for Swin. Left
 * out: the rate's step to a tenth at epoch 700, in whose place is a cosine to the same tenth; a warm-up that begins at 5e-7; stochastic depth of 0.1.
 *   sherd pretrain simmim-base-224 --data imagenet/train --out runs/simmim
 * Cost: 800 epochs of ImageNet-1K.
 * Expected: 83.8 % ImageNet top-1 after fine-tuning (paper).
 * Measured: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'SimMIM’s ViT-Base/16 at 224 × 224',
  config: {
    objective: 'simmim',
    data: { scale: [0.67, 1] },
    model: {
      ...{ size: 'base', imageSize: 224 },
      ...{ positions: 'none', relativePositions: 'shared', qkvBias: 'qv', layerScale: 0.1 },
    },
    mask: { kind: 'coarse', cell: 32, ratio: 0.61 },
    optim: {
      ...{ baseLearningRate: 5e-5, minLearningRate: 4e-5, warmupFraction: 10 / 800 },
      ...{ beta2: 0.999, clipGradientNorm: 5 },
    },
    train: { batchSize: 64, accumulate: 32, epochs: 800 },
  },
}
