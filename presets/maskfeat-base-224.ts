/**
 * MaskFeat, ViT-Base/16, 224 × 224 pixels. The recipe of Wei et al. 2022 and its code: 40 % of the patches in blocks, gradients clipped at 0.02, 1600 epochs.
 *   sherd pretrain maskfeat-base-224 --data imagenet/train --out runs/maskfeat
 * Cost: 1600 epochs of ImageNet-1K.
 * Expected: 84.0 % ImageNet top-1 after fine-tuning (paper).
 * Measured: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'MaskFeat’s ViT-Base/16 at 224 × 224',
  config: {
    objective: 'maskfeat',
    data: { scale: [0.5, 1] },
    model: { size: 'base', imageSize: 224, positions: 'learned' },
    mask: { kind: 'block', ratio: 0.4 },
    optim: { baseLearningRate: 2e-4, warmupFraction: 30 / 1600, beta2: 0.999, clipGradientNorm: 0.02 },
    train: { batchSize: 64, accumulate: 32, epochs: 1600 },
  },
}
