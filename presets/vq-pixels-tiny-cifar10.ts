/**
 * A convolutional VQ-VAE (van den Oord et al. 2017) of patches of 4 × 4 pixels, 512 codes, 32 × 32 pixels: codes of pixels, as BEiT's targets are.
 *   sherd pretrain vq-pixels-tiny-cifar10 --data cifar10/train --out runs/vq
 * Cost: not measured on a machine that was left alone.
 * Expected: a reconstruction well below 1, which is what predicting the mean scores, and a perplexity that stays above a quarter of the codes.
 * Measured: 375 steps of 128 of CIFAR-10's test images (2026-11-27): reconstruction 0.98 at the start, 0.10 at the end; all 512 codes in use, perplexity 448 at
 * the start, 186 at the lowest (step 249), 199 at the end, 39 % of the codes. 50 epochs: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'a tokenizer of pixels by convolutions, on 32 × 32 images',
  config: {
    objective: 'vq-pixels',
    data: { statistics: 'dataset' },
    model: { imageSize: 32, patchSize: 4, width: 128, depth: 2 },
    codebook: { size: 512, width: 16 },
    optim: { baseLearningRate: 1e-3, beta2: 0.99, weightDecay: 1e-4 },
    train: { batchSize: 128, epochs: 50 },
  },
}
