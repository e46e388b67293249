/**
 * BEiT, ViT-Tiny/4, 32 × 32 pixels. Bao et al. 2022, scaled down for CIFAR-10-sized images; the codes are those of the preset
 * vq-pixels-tiny-cifar10, or of any tokenizer that is named.
 *   sherd pretrain vq-pixels-tiny-cifar10 --data cifar10/train --out runs/vq
 *   sherd pretrain beit-tiny-cifar10 --data cifar10/train --out runs/beit
 * Cost: the encoder sees every patch: about 1.7 times the arithmetic of mae-tiny-cifar10 for each image (sherd plan); not yet run.
 * Expected: a loss that falls from ln K, 6.24 of 512 codes.
 * Measured: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'

export const preset: Preset = {
  summary: 'codes of pixels under block masks, on 32 × 32 images; needs a tokenizer (target.tokenizer)',
  config: {
    objective: 'beit',
    data: { statistics: 'dataset' },
    model: { size: 'tiny', imageSize: 32, patchSize: 4 },
    target: { tokenizer: 'runs/vq' },
    optim: { baseLearningRate: 1e-3, beta2: 0.999, clipGradientNorm: 3 },
    train: { batchSize: 128, epochs: 400 },
  },
}
