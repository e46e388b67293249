/**
 * SimMIM, ViT-Base/16, 224 × 224 pixels. The recipe of Xie et al. 2022 and its code: cells of 32 pixels, 800 epochs in batches of 2048. Its step of the
 * learning rate at epoch 700 is a cosine here.
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
    mask: { kind: 'coarse', cell: 32, ratio: 0.6 },
    optim: { baseLearningRate: 5e-5, warmupFraction: 10 / 800, beta2: 0.999, clipGradientNorm: 5 },
    train: { batchSize: 64, accumulate: 32, epochs: 800 },
  },
}
