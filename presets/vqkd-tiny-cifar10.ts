/**
 * VQ-KD, the tokenizer of BEiT v2 (Peng et al. 2022): ViT-Tiny/4, 1,024 codes, 32 × 32 pixels. It learns to say by codes what a frozen encoder sees:
 * the one of runs/tiny, which the preset mae-tiny-cifar10 makes, or any other that is named.
 *   sherd pretrain mae-tiny-cifar10 --data cifar10/train --out runs/tiny
 *   sherd pretrain vqkd-tiny-cifar10 --data cifar10/train --out runs/vqkd
 * A published teacher has another grid and image size: --set target.model=hf:facebook/dino-vits16 --set target.resample=true
 * Cost: not measured on a machine that was left alone.
 * Expected: a perplexity above a quarter of the codes (metrics.perplexity), and a reconstruction well below 1, which is what predicting the mean scores.
 * Why target.standardize: 85 % of the power of such a teacher's features is what all have in common, so that a constant has a cosine of 0.92 to them, and
 * there is nothing left for codes to say. The paper's teachers (DINO, CLIP) are taken as they are: --set target.standardize=false.
 * Measured: 375 steps of 128 of CIFAR-10's test images (teacher: a run of mae-tiny-cifar10 of 375 steps, 2026-11-27): reconstruction 1.0 at the start, 0.046
 * at the end; perplexity 851 at the start, 512 at the lowest (step 130), 937 at the end; 824 by the codes of 130 of the images.
 * Both ways at 64 images a step, at step 77 of 120: reconstruction 0.16 and perplexity 527 with it, 0.07 and 123 without. At their last checkpoints (steps 98
 * and 77) 130 of the images have codes of a perplexity of 213 with it, and 3.8 (5 codes) without. 100 epochs: not yet run.
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
