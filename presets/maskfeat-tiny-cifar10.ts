/**
 * MaskFeat, ViT-Tiny/4, 32 × 32 pixels. Wei et al. 2022, scaled down for CIFAR-10-sized images: cells of 2 × 2 pixels, half a patch as in the paper.
 *   sherd pretrain maskfeat-tiny-cifar10 --data cifar10/train --out runs/maskfeat
 * Cost: the encoder sees every patch: about 1.7 times the arithmetic of mae-tiny-cifar10 for each image (sherd plan); not yet run.
 * Expected: a loss that falls below that of the mean histogram.
 * Measured: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'mask tokens and histograms of gradients, on 32 × 32 images',
  config: {
    objective: 'maskfeat',
    data: { scale: [0.5, 1], statistics: 'dataset' },
    model: { size: 'tiny', imageSize: 32, patchSize: 4, positions: 'learned' },
    mask: { kind: 'block', ratio: 0.4 },
    optim: { baseLearningRate: 1e-3, beta2: 0.999, clipGradientNorm: 0.02 },
    train: { batchSize: 128, epochs: 400 },
  },
}
