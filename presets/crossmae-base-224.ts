/**
 * CrossMAE, ViT-Base/16, 224 × 224 pixels. The recipe of Fu et al. 2024 as their README gives it (4 × 1024 images, 800 epochs, 40 of warm-up), with the
 * defaults of main_pretrain.py: a third of the hidden patches is decoded. The code multiplies the base learning rate of 1.5e-4 by the decoded share over the hidden
 * one: 0.25 / 0.75.
 *   sherd pretrain crossmae-base-224 --data imagenet/train --out runs/crossmae
 * Cost: 800 epochs of ImageNet-1K.
 * Expected: 83.7 % ImageNet top-1 after fine-tuning (the authors, 800 epochs, with all hidden patches decoded: decoder.decodeRatio=0.75 and
 * optim.baseLearningRate=1.5e-4).
 * Measured: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'CrossMAE’s ViT-Base/16 at 224 × 224',
  config: {
    objective: 'crossmae',
    model: { size: 'base', imageSize: 224 },
    optim: { baseLearningRate: 5e-5 },
    train: { batchSize: 64, accumulate: 64, epochs: 800 },
  },
}
