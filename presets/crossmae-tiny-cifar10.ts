/**
 * CrossMAE, ViT-Tiny/4, 32 × 32 pixels. Fu et al. 2024, scaled down for CIFAR-10-sized images; all hidden patches are decoded, as in the
 * models that its authors released.
 *   sherd pretrain crossmae-tiny-cifar10 --data cifar10/train --out runs/crossmae
 * Cost: its decoder makes a step of mae-tiny-cifar10 1.13 × as fast with all hidden tokens decoded (bench/results/2026-11-28-amd-epyc-2-cores-targets.md).
 * Expected: a loss well below 0.979, which is what predicting the mean scores.
 * Measured: not yet run to the end.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'CrossMAE’s ViT-Tiny/4 on 32 × 32 images such as CIFAR-10',
  config: {
    objective: 'crossmae',
    data: { statistics: 'dataset' },
    model: { size: 'tiny', imageSize: 32, patchSize: 4 },
    decoder: { kind: 'cross-attention', width: 192, depth: 4, heads: 3, decodeRatio: null },
    optim: { baseLearningRate: 1.5e-3 },
    train: { batchSize: 128, epochs: 400 },
  },
}
