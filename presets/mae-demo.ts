/**
 * MAE, a small ViT/6, 48 × 48 pixels. Not from a paper: what two cores can learn in about a minute.
 *   sherd pretrain mae-demo --data DIR --out runs/demo
 * Cost: one to two minutes on two Zen 4 cores.
 * Expected: a loss near 0.6 (predicting the mean scores 0.991) and visible structure in the reconstructions.
 * Measured: see the picture in the README, which this preset made.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'a small model for the two-minute demo',
  config: {
    data: { statistics: 'dataset' },
    model: { size: 'tiny', imageSize: 48, patchSize: 6, width: 128, depth: 6, heads: 4 },
    decoder: { width: 96, depth: 2, heads: 4 },
    optim: { baseLearningRate: 4e-3 },
    train: { batchSize: 64, steps: 320 },
    checkpoint: { everySteps: 160 },
    log: { pictureEverySteps: 80 },
  },
}
