/**
 * VQ-KD, the tokenizer of BEiT v2 (Peng et al. 2022): ViT-Tiny/4, 1,024 codes, 32 × 32 pixels. It learns to say by codes what a frozen encoder sees:
 * the one of runs/tiny, which the preset mae-tiny-cifar10 makes, or any other that is named.
 *   sherd pretrain mae-tiny-cifar10 --data cifar10/train --out runs/tiny
 *   sherd pretrain vqkd-tiny-cifar10 --data cifar10/train --out runs/vqkd
 * A published teacher has another grid and image size: --set target.model=hf:facebook/dino-vits16 --set target.resample=true
 * Cost: not measured on a machine that was left alone.
 * Expected: no recipe to rely on yet: watch metrics.perplexity. The features of a masked autoencoder are much alike, so that its codes say little.
 * Measured: on CIFAR-10's test images, teacher: a run of mae-tiny-cifar10 of 785 steps (2026-11-27). 107 steps of 64 at a peak rate of 5e-4 without revival:
 * reconstruction 0.98 to 0.13, perplexity 851 to 60. 171 steps of 32 at 2e-4 with it: 0.98 to 0.07, perplexity 887 to 7 at step 161, when the first
 * codes were revived, and 45 ten steps later. A lower rate, another commitment and another teacher: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'a tokenizer of what a frozen encoder sees, on 32 × 32 images; needs one (target.model)',
  config: {
    objective: 'vqkd',
    data: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
    model: { size: 'tiny', imageSize: 32, patchSize: 4, positions: 'learned', qkvBias: 'qv' },
    codebook: { size: 1024, width: 16, revive: 0.1 },
    target: { model: 'runs/tiny', standardize: true },
    optim: { baseLearningRate: 4e-4, beta2: 0.99, weightDecay: 1e-4 },
    train: { batchSize: 128, epochs: 100 },
  },
}
