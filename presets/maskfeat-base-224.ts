/**
 * MaskFeat, ViT-Base/16, 224 × 224 pixels. The recipe of Wei et al. 2022 as in in1k_VIT_B_MaskFeat_PT.yaml of its code (SlowFast): crops of at least half the
 * image, 2e-4 for 256 images down to 1e-6, 30 epochs of warm-up, gradients clipped at 0.02. The file has 300 epochs on one node of 256 images; 1600 epochs in
 * batches of 2048 are the paper's, which was not looked up again. 78 of 196 patches in blocks, as in mmpretrain's configuration. Left out: its warm-up begins at 1e-6.
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
    mask: { kind: 'block', ratio: 0.397 },
    optim: {
      ...{ baseLearningRate: 2e-4, minLearningRate: 8e-6, warmupFraction: 30 / 1600 },
      ...{ beta2: 0.999, clipGradientNorm: 0.02 },
    },
    train: { batchSize: 64, accumulate: 32, epochs: 1600 },
  },
}
