/**
 * I-JEPA, ViT-H/14, 224 × 224 pixels. The recipe of Assran et al. 2023 as in in1k_vith14_ep300.yaml of their code: four target blocks, a predictor of twelve
 * blocks with as many heads as the encoder (src/helper.py), momentum from 0.996 to 1, weight decay from 0.04 to 0.4, 40 epochs of warm-up (25,000 steps of
 * ImageNet-1K). Left out: its warm-up begins at 2e-4. Blocks lie at every place, unless blocks.compat=ijepa.
 *   sherd pretrain ijepa-huge-224 --data imagenet/train --out runs/ijepa
 * Cost: 300 epochs in batches of 2048; not run here.
 * Expected: 79.3 % ImageNet top-1 of a linear probe (paper, table 1).
 * Measured: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'features of whole blocks, predicted from the rest, as published, on 224 × 224 images',
  config: {
    objective: 'ijepa',
    data: { scale: [0.3, 1], flip: false },
    model: { size: 'huge' },
    predictor: { depth: 12, heads: 16 },
    optim: {
      ...{ baseLearningRate: 1.25e-4, minLearningRate: 1e-6, beta2: 0.999, warmupSteps: 25_000 },
      ...{ weightDecay: 0.04, finalWeightDecay: 0.4 },
    },
    train: { batchSize: 32, accumulate: 64, epochs: 300 },
  },
}
