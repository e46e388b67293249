/**
 * I-JEPA, ViT-Tiny/4, 32 × 32 pixels. Assran et al. 2023, scaled down for CIFAR-10-sized images: blocks of 9 to 12 of 64 patches.
 *   sherd pretrain ijepa-tiny-cifar10 --data cifar10/train --out runs/ijepa
 * Cost: the encoder sees about 20 of 64 patches, the teacher all, the predictor four blocks; not yet run.
 * Expected: a loss well below metrics.lossOfMean, and a targetDeviation that stays away from 0.
 * Measured: 150 steps of 16 of CIFAR-10's test images, 140 of them warm-up (2026-11-27): loss 0.44 to 0.29 beside a lossOfMean of 0.12, targetDeviation 0.18
 * to 0.25. At 16 times the rate with the usual warm-up: 0.44 to 0.023, lossOfMean 0.025, targetDeviation 0.11. 400 epochs: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'features of whole blocks, predicted from the rest, on 32 × 32 images',
  config: {
    objective: 'ijepa',
    data: { statistics: 'dataset', scale: [0.3, 1] },
    model: { size: 'tiny', imageSize: 32, patchSize: 4 },
    predictor: { width: 96, depth: 4, heads: 3 },
    optim: { baseLearningRate: 5e-4, beta2: 0.999, weightDecay: 0.04, finalWeightDecay: 0.4 },
    train: { batchSize: 128, epochs: 400 },
  },
}
