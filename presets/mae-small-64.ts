/**
 * MAE, ViT-Small/8, 64 × 64 pixels. He et al. 2021, scaled down for thumbnails.
 *   sherd pretrain mae-small-64 --data DIR --out runs/small
 * Cost: about 80 images/s on two Zen 4 cores in bfloat16.
 * Expected: a loss well below 0.995, which is what predicting the mean scores.
 * Measured: not yet run to the end; step times are in bench/results.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'ViT-Small/8 on 64 × 64 images',
  config: {
    data: { statistics: 'dataset' },
    model: { size: 'small', imageSize: 64, patchSize: 8 },
    decoder: { width: 192, depth: 4, heads: 6 },
    optim: { baseLearningRate: 5e-4 },
    train: { batchSize: 64, epochs: 200 },
  },
}
