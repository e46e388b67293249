/**
 * SimMIM, ViT-Tiny/4, 32 × 32 pixels. Xie et al. 2022, scaled down for CIFAR-10-sized images: cells of 2 × 2 patches, relative positions.
 *   sherd pretrain simmim-tiny-cifar10 --data cifar10/train --out runs/simmim
 * Cost: the encoder sees every patch: about 1.7 times the arithmetic of mae-tiny-cifar10 for each image (sherd plan); not yet run.
 * Expected: a loss that falls from the mean absolute value of the pixels.
 * Measured: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'mask tokens and absolute errors of pixels, on 32 × 32 images',
  config: {
    objective: 'simmim',
    data: { scale: [0.67, 1], statistics: 'dataset' },
    model: {
      ...{ size: 'tiny', imageSize: 32, patchSize: 4 },
      ...{ positions: 'none', relativePositions: 'shared', qkvBias: 'qv', layerScale: 0.1 },
    },
    mask: { kind: 'coarse', cell: 8, ratio: 0.6 },
    optim: { baseLearningRate: 1e-3, beta2: 0.999, clipGradientNorm: 5 },
    train: { batchSize: 128, epochs: 400 },
  },
}
