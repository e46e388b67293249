/**
 * SatMAE on Sentinel-2 (Cong et al. 2022, section 3.2), scaled down to ViT-Tiny/8 and 48 × 48 pixels: ten bands in three groups,
 * independent masks. For the sample set and small collections.
 *   sherd sample-data --kind satellite --out sentinel && sherd pretrain satmae-tiny-sentinel2 --data sentinel --out runs/satmae
 * Cost: see docs/satellite.md.
 * Expected: a loss well below 0.996, which is what predicting the mean scores.
 * Measured: the ablation in docs/satellite.md.
 */
import type { Preset } from '../src/config/preset.ts'
import { sentinelBands, sentinelGroups } from './sentinel2.ts'

export const preset: Preset = {
  summary: 'SatMAE, ViT-Tiny/8 on ten Sentinel-2 bands, 48 × 48',
  config: {
    data: { bands: sentinelBands },
    model: {
      ...{ size: 'tiny', imageSize: 48, patchSize: 8, groups: sentinelGroups, groupWidth: 64 },
      ...{ decoderWidth: 128, decoderDepth: 2, decoderHeads: 4, decoderGroupWidth: 32 },
    },
    optim: { baseLearningRate: 1e-3 },
    train: { batchSize: 64, epochs: 200 },
  },
}
