/**
 * BEiT v2, ViT-Tiny/4, 32 × 32 pixels. Peng et al. 2022, scaled down for CIFAR-10-sized images; the codes are those of the preset
 * vqkd-tiny-cifar10, or of any tokenizer that is named.
 *   sherd pretrain vqkd-tiny-cifar10 --data cifar10/train --out runs/vqkd
 *   sherd pretrain beitv2-tiny-cifar10 --data cifar10/train --out runs/beitv2
 * Cost: the encoder and two more blocks see every patch: about 2.0 times the arithmetic of mae-tiny-cifar10 for each image (sherd plan); not yet run.
 * Expected: a loss that falls from 2 ln K, 13.9 of 1,024 codes.
 * Measured: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'codes of features, predicted twice, on 32 × 32 images; needs a tokenizer (target.tokenizer)',
  config: {
    objective: 'beitv2',
    data: { statistics: 'dataset' },
    model: { size: 'tiny', imageSize: 32, patchSize: 4 },
    target: { tokenizer: 'runs/vqkd' },
    optim: { baseLearningRate: 1e-3, beta2: 0.98, clipGradientNorm: 3 },
    train: { batchSize: 128, epochs: 400 },
  },
}
