/**
 * Normalisation of SatMAE's released Sentinel-2 models (Cong et al. 2022, section 4.2 and appendix): ten bands in three groups, each clipped
 * two deviations from its mean in fMoW-Sentinel and scaled to [0, 1]. The released code quantises that to 256 levels; sherd does not.
 */
import type { ChannelStatistics } from '../prepare/normalize.ts'

const bands = ['B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B11', 'B12']

/** Of fMoW-Sentinel, as published, in units of the files. */
const means = [
  1184.3824625, 1120.77120066, 1136.26026392, 1263.73947144, 1645.40315151, 1846.87040806, 1762.59530783,
  1972.62420416, 1732.16362238, 1247.91870117,
]
const deviations = [
  650.2842772, 712.12507725, 965.23119807, 948.9819932, 1108.06650639, 1258.36394548, 1233.1492281,
  1364.38688993, 1310.36996126, 1087.6020813,
]

const low = means.map((mean, i) => mean - 2 * deviations[i]!)
const statistics: ChannelStatistics = {
  mean: low,
  std: deviations.map((deviation) => 4 * deviation),
  low,
  high: means.map((mean, i) => mean + 2 * deviations[i]!),
}

export const releasedBands = {
  bands,
  groups: [
    ['B2', 'B3', 'B4', 'B8'],
    ['B5', 'B6', 'B7', 'B8A'],
    ['B11', 'B12'],
  ],
  statistics,
} as const
