/** What features are taken of and how, for reports and for people: the vector, whose convention it is, size and preparation of the images. */
import { fittingOf } from '../config/assemble.ts'
import type { Config } from '../config/schema.ts'
import type { Family } from '../import/layouts/facts.ts'
import type { ResizeMode } from '../prepare/fit.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'

/** A report's `reads`. */
export interface HowTaken {
  /** What stands for an image by convention, what a head reads, or `patches`. */
  readonly feature: string
  /** Whose convention the feature is, such as "DINOv2's authors"; null for a model's own, and where it was asked for. */
  readonly convention: string | null
  readonly imageSize: readonly [height: number, width: number]
  /** For people. */
  readonly preparation: string
}

const families = {
  ...{
    vit: 'ViT',
    mae: 'MAE',
    satmae: 'SatMAE',
    msn: 'MSN',
    beit: 'BEiT',
    beitv2: 'BEiT v2',
    data2vec: 'data2vec',
  },
  ...{ dino: 'DINO', ibot: 'iBOT', dinov2: 'DINOv2', dinov3: 'DINOv3', ijepa: 'I-JEPA', clip: 'CLIP' },
  ...{ siglip: 'SigLIP', siglip2: 'SigLIP 2' },
} satisfies Record<Family, string>

export const conventionOf = ({ family }: { readonly family?: Family | undefined }): string | null =>
  family === undefined ? null : `${families[family]}'s authors`

/** Behind the name of a feature: `, as DINOv2's authors take it`; empty where nobody's convention is known. */
export function asTaken(
  { feature: own, convention }: Pick<HowTaken, 'feature' | 'convention'>,
  feature: string,
): string {
  if (convention === null) return ''
  return feature === own ? `, as ${convention} take it` : `, where ${convention} take ${own}`
}

const listed = (values: readonly number[]) => values.map((value) => Number(value.toPrecision(5))).join(', ')

interface Prepared {
  readonly config: Config
  readonly statistics: ChannelStatistics
}

const ways = {
  ...{ box: 'the largest centred box', shortest: 'by the shorter side', squash: 'squashed' },
  ...{ longest: 'by the longer side, filled up', patches: 'each in its own shape' },
} as const satisfies Record<ResizeMode, string>
const shortNumber = (x: number) => String(Number(x.toPrecision(3)))

/** `isBox`: the largest centred box, whatever the model's images are otherwise cut by. */
export function preparationText({ config, statistics }: Prepared, isBox = false): string {
  const { mean, std } = statistics
  const normalised =
    mean.length > 4 ? `normalised by band (${mean.length})` : `mean ${listed(mean)}, deviation ${listed(std)}`
  if (config.data.kind === 'rasters') return normalised
  const { resize = 'box', cropShare = 1, budget } = (isBox ? null : fittingOf(config)) ?? {}
  const share =
    cropShare < 1 && resize !== 'box' ? `, the middle ${shortNumber(100 * cropShare)} % of its sides` : ''
  const cut = ways[resize] + (budget ? ` within ${budget.most} patches` : share)
  return `${cut}, ${config.data.interpolation}, ${normalised}`
}
