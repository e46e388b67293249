/**
 * I-JEPA, ViT-Tiny/4, 32 × 32 pixels. Assran et al. 2023, scaled down for CIFAR-10-sized images: blocks of 9 to 12 of 64 patches.
 *   sherd pretrain ijepa-tiny-cifar10 --data cifar10/train --out runs/ijepa
 * Cost: the encoder sees about 20 of 64 patches, the teacher all, the predictor four blocks; not yet run.
 * Expected: a loss well below metrics.lossOfMean, and a targetDeviation that stays away from 0.
 * Measured: not yet run.
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
