/**
 * VQ-KD, the tokenizer of BEiT v2 (Peng et al. 2022): ViT-Tiny/4, 1,024 codes, 32 × 32 pixels. It learns to say by codes what a frozen encoder sees:
 * the one of runs/tiny, which the preset mae-tiny-cifar10 makes, or any other that is named.
 *   sherd pretrain mae-tiny-cifar10 --data cifar10/train --out runs/tiny
 *   sherd pretrain vqkd-tiny-cifar10 --data cifar10/train --out runs/vqkd
 * A published teacher has another grid and image size: --set target.model=hf:facebook/dino-vits16 --set target.resample=true
 * Cost: not yet run.
 * Expected: a reconstruction that falls below 0.5, and a perplexity that stays above a quarter of the codes.
 * Measured: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'a tokenizer of what a frozen encoder sees, on 32 × 32 images; needs one (target.model)',
  config: {
    objective: 'vqkd',
    data: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
    model: { size: 'tiny', imageSize: 32, patchSize: 4, positions: 'learned', qkvBias: 'qv' },
    codebook: { size: 1024, width: 16 },
    target: { model: 'runs/tiny' },
    optim: { baseLearningRate: 1e-3, beta2: 0.99, weightDecay: 1e-4 },
    train: { batchSize: 128, epochs: 100 },
  },
}
