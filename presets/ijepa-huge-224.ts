/**
 * I-JEPA, ViT-H/14, 224 × 224 pixels, with the published recipe for ImageNet (Assran et al. 2023): four target blocks, a predictor of twelve
 * blocks, momentum from 0.996 to 1, weight decay from 0.04 to 0.4.
 *   sherd pretrain ijepa-huge-224 --data imagenet/train --out runs/ijepa
 * Cost: 300 epochs in batches of 2048; not run here.
 * Expected: not known here.
 * Measured: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'features of whole blocks, predicted from the rest, as published, on 224 × 224 images',
  config: {
    objective: 'ijepa',
    data: { scale: [0.3, 1], flip: false },
    model: { size: 'huge' },
    predictor: { depth: 12 },
    optim: {
      ...{ baseLearningRate: 1.25e-4, minLearningRate: 1e-6, beta2: 0.999, warmupSteps: 25_000 },
      ...{ weightDecay: 0.04, finalWeightDecay: 0.4 },
    },
    train: { batchSize: 32, accumulate: 64, epochs: 300 },
  },
}
