/**
 * MAE, ViT-Base/16, 224 × 224 pixels. The recipe of He et al. 2021, appendix A.1.
 *   sherd pretrain mae-base-224 --data imagenet/train --out runs/base
 * Cost: 1600 epochs of ImageNet-1K; the paper states no time for this size.
 * Expected: 83.6 % ImageNet top-1 after fine-tuning (paper, 1600 epochs).
 * Measured: not yet run to the end; step times are in bench/results.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'the paper’s ViT-Base/16 at 224 × 224',
  config: {
    model: { size: 'base', imageSize: 224 },
    train: { batchSize: 64, accumulate: 64, epochs: 800 },
  },
}
