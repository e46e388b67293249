/**
 * BEiT, ViT-Base/16, 224 × 224 pixels. The recipe of Bao et al. 2022 as its README gives it for ImageNet-1K, with the defaults of run_beit_pretraining.py: 75
 * of 196 patches in blocks of at least 16, 800 epochs in batches of 2048, ImageNet's mean and deviation, a second beta of 0.999 (0.98 in earlier versions). Left
 * out: the colour jitter of 0.4, stochastic depth of 0.1, a warm-up that begins at 1e-6, and DALL-E's tokenizer, in whose place is any of 14 × 14 codes.
 *   sherd pretrain beit-base-224 --data imagenet/train --out runs/beit
 * Cost: 800 epochs of ImageNet-1K.
 * Expected: 83.2 % ImageNet top-1 after fine-tuning (paper, with DALL-E's tokenizer).
 * Measured: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'BEiT’s ViT-Base/16 at 224 × 224; needs a tokenizer (target.tokenizer)',
  config: {
    objective: 'beit',
    data: { scale: [0.08, 1] },
    model: { size: 'base', imageSize: 224 },
    mask: { ratio: 0.38, minBlock: 16 },
    target: { tokenizer: 'runs/tokenizer' },
    optim: {
      ...{ baseLearningRate: 1.5e-3 / 8, minLearningRate: 1e-5, warmupFraction: 10 / 800 },
      ...{ beta2: 0.999, clipGradientNorm: 3 },
    },
    train: { batchSize: 64, accumulate: 32, epochs: 800 },
  },
}
