/**
 * SatMAE on Sentinel-2, ViT-Base/8, 96 × 96 pixels: the recipe of Cong et al. 2022 (section 4.2 and appendix) for fMoW-Sentinel.
 *   sherd pretrain satmae-base-sentinel2 --data DIR --out runs/satmae
 * Cost: 432 tokens a sample, 108 of them seen; needs a GPU. The paper: 50 epochs of 713,000 images on 8 V100.
 * Expected: fine-tuned on fMoW-Sentinel 62.65 % after 200 epochs (the authors' released ViT-Base).
 * Measured: not yet run.
 */
import type { Preset } from '../src/config/preset.ts'
import { sentinelBands, sentinelGroups } from './satmae-tiny-sentinel2.ts'

export const preset: Preset = {
  summary: 'SatMAE, ViT-Base/8 on ten Sentinel-2 bands, 96 × 96',
  config: {
    data: { bands: sentinelBands },
    model: { size: 'base', imageSize: 96, patchSize: 8, groups: sentinelGroups },
    optim: { baseLearningRate: 1e-4, warmupFraction: 0.4 },
    train: { batchSize: 16, accumulate: 256, epochs: 50 },
  },
}
