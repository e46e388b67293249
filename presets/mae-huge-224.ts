/**
 * MAE, ViT-Huge/14, 224 × 224 pixels. The recipe of He et al. 2021, appendix A.1.
 *   sherd pretrain mae-huge-224 --data imagenet/train --out runs/huge
 * Cost: 800 epochs of ImageNet-1K took 34.5 h on 128 TPU v3 cores (paper, table 2).
 * Expected: 86.9 % ImageNet top-1 after fine-tuning at 1600 epochs (paper).
 * Measured: not yet run to the end.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'the paper’s ViT-Huge/14 at 224 × 224',
  config: {
    model: { size: 'huge', imageSize: 224 },
    train: { batchSize: 32, accumulate: 128, epochs: 800 },
  },
}
