/**
 * SatMAE on Sentinel-2 (Cong et al. 2022, section 3.2), scaled down to ViT-Tiny/8 and 48 × 48 pixels: ten bands in three groups,
 * independent masks. For the sample set and small collections.
 *   sherd pretrain satmae-tiny-sentinel2 --data sentinel --out runs/satmae
 * on what "sherd sample-data --kind satellite --out sentinel" writes.
 * Cost: see docs/satellite.md.
 * Expected: a loss well below 0.996, which is what predicting the mean scores.
 * Measured: the ablation in docs/satellite.md.
 */
import type { Preset } from '../src/config/preset.ts'

/** The bands of Sentinel-2 but B1, B9 and B10 (60 m, for the atmosphere), and how SatMAE groups them. */
export const sentinelBands = ['B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B11', 'B12']
export const sentinelGroups = [
  ['B2', 'B3', 'B4', 'B8'], // blue, green, red, near infrared: 10 m
  ['B5', 'B6', 'B7', 'B8A'], // red edge: 20 m
  ['B11', 'B12'], // short-wave infrared: 20 m
]

export const preset: Preset = {
  summary: 'SatMAE, ViT-Tiny/8 on ten Sentinel-2 bands, 48 × 48',
  config: {
    data: { bands: sentinelBands },
    model: { size: 'tiny', imageSize: 48, patchSize: 8, groups: sentinelGroups, groupWidth: 64 },
    decoder: { width: 128, depth: 2, heads: 4, groupWidth: 32 },
    optim: { baseLearningRate: 2e-3 },
    train: { batchSize: 64, epochs: 200 },
  },
}
