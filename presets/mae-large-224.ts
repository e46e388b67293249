/**
 * MAE, ViT-Large/16, 224 × 224 pixels. The recipe of He et al. 2021, appendix A.1.
 *   sherd pretrain mae-large-224 --data imagenet/train --out runs/large
 * Cost: 800 epochs of ImageNet-1K took 15.4 h on 128 TPU v3 cores (paper, table 2).
 * Expected: 85.4 % ImageNet top-1 after fine-tuning at 800 epochs; 85.9 % at 1600 (paper).
 * Measured: not yet run to the end.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'the paper’s ViT-Large/16 at 224 × 224',
  config: {
    model: { size: 'large', imageSize: 224 },
    train: { batchSize: 64, accumulate: 64, epochs: 800 },
  },
}
