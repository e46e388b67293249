/** What a published encoder has and costs, computed from its options. */
import { backboneOf, dimensionsOf, resolveConfig } from '../config/resolve.ts'
import { knownStatistics } from '../import/image-processors.ts'
import { backboneRows } from '../model/backbone.ts'
import { encoderFlops } from '../model/flops.ts'
import { outputRows, outputWidth } from '../model/own-output.ts'
import { parameterCount } from '../model/parameters.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import type { PublishedEncoder } from './encoders.ts'

export interface Figures {
  readonly parameters: number
  readonly patch: readonly [h: number, w: number]
  /** Pixels that images are brought to where the user names no others: height and width. */
  readonly imageSize: readonly [h: number, w: number]
  /** Numbers of the feature that its authors take. */
  readonly width: number
  /** Of one image, a multiply-add counted as two. */
  readonly flops: number
}

export function figuresOf({ model }: Pick<PublishedEncoder, 'model'>): Figures {
  const config = resolveConfig({ model })
  const dimensions = dimensionsOf(config)
  return {
    parameters: parameterCount([...backboneRows(backboneOf(config)), ...outputRows(dimensions)]),
    ...{ patch: dimensions.patchSize, imageSize: dimensions.imageSize },
    width: (config.model.feature === 'pooled' && outputWidth(dimensions)) || dimensions.width,
    flops: encoderFlops(dimensions),
  }
}

export const numbersOf = (
  statistics: PublishedEncoder['statistics'],
): Pick<ChannelStatistics, 'mean' | 'std'> =>
  typeof statistics === 'string' ? knownStatistics[statistics] : statistics
