/** Kinds of masks on a few images: what an encoder is shown with each, before anything is trained. */
import { basename, dirname } from 'node:path'
import { backboneOf, expectMasks, maskDesignOf } from '../config/resolve.ts'
import type { Config, MaskedConfig } from '../config/schema.ts'
import { messageOf } from '../errors.ts'
import { layoutOf } from '../model/backbone-shape.ts'
import { GREY_BYTE } from '../picture/rebuilt-tiles.ts'
import { tilesOfSamples } from '../picture/sample-tiles.ts'
import type { Tile } from '../picture/tile.ts'
import { drawGrid } from '../picture/tile-grid.ts'
import { scope } from '../tensor/scope.ts'
import { toFloats } from '../tensor/tensor.ts'
import { type Grid, tokenCount } from '../token/grid.ts'
import { isOfOtherMask, type MaskName, maskNames } from '../token/keys.ts'
import { maskOf, planFromNoise } from '../token/mask.ts'
import { designedNoise, keptTokens } from '../token/mask-design.ts'
import { meanRatio } from '../token/mask-ratio.ts'
import type { Exhibit } from './pictures.ts'

export interface ShownMask {
  readonly kind: MaskName
  /** Hidden patches of an image. */
  readonly hidden: number
  readonly patches: number
}

export interface MaskPreview {
  readonly png: Buffer
  /** How many are drawn. */
  readonly images: number
  readonly shown: readonly ShownMask[]
  /** Kinds that the configuration does not allow, and why. */
  readonly leftOut: readonly { readonly kind: MaskName; readonly reason: string }[]
}

/** 1 where a place is hidden [L], of each sample; of rasters: in the first group of bands of the first date. */
export function hiddenPlaces(
  config: MaskedConfig,
  indices: readonly number[],
): { grid: Grid; hidden: Uint8Array[] } {
  const layout = layoutOf(backboneOf(config))
  const design = maskDesignOf(config)
  return scope(() => {
    const samples = { epochs: new Int32Array(indices.length), indices }
    const noise = designedNoise(layout, design, config.train.seed, samples)
    const all = toFloats(maskOf(planFromNoise(noise, keptTokens(layout, design))))
    const tokens = all.length / indices.length
    const places = tokenCount(layout.grid)
    const hidden = indices.map((_, b) => Uint8Array.from(all.subarray(b * tokens, b * tokens + places)))
    return { grid: layout.grid, hidden }
  })
}

/** Hidden patches in plain grey, as in pictures of reconstructions. */
function greyed({ width, height, channels, pixels }: Tile, { h, w }: Grid, hidden: Uint8Array): Tile {
  const made = pixels.slice()
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const place = Math.floor((y * h) / height) * w + Math.floor((x * w) / width)
      const at = (y * width + x) * channels
      if (hidden[place] === 1) made.fill(GREY_BYTE, at, at + channels)
    }
  return { width, height, channels, pixels: made }
}

export interface PreviewOptions {
  /** Assignments (`key.path=value`): a kind takes those of other kinds' keys not. */
  readonly set: readonly string[]
  /** The configuration with assignments; throws where it does not take them. */
  readonly composed: (set: readonly string[]) => Config
  readonly load: (config: Config) => Promise<Exhibit>
}

const setFor = (set: readonly string[], kind: MaskName): string[] => [
  ...set.filter((each) => {
    const [group, name] = each.split('=', 1)[0]!.trim().split('.')
    return group !== 'mask' || (name !== 'kind' && !isOfOtherMask(name ?? '', kind))
  }),
  `mask.kind=${kind}`,
]

/** Draws a row for each kind: the masks of the images in epoch 0. */
export async function previewMasks({ set, composed, load }: PreviewOptions): Promise<MaskPreview> {
  const configOf = (kind: MaskName) => expectMasks(composed(setFor(set, kind)), 'A preview of masks')
  const asked = set.findLast((each) => each.startsWith('mask.kind='))?.slice('mask.kind='.length)
  const config = configOf((asked as MaskName | undefined) ?? maskNames[0]) // which refuses a kind that it does not know
  const exhibit = await load(config)
  const bands = config.data.kind === 'rasters' ? config.data.bands : null
  const tiles = tilesOfSamples(exhibit, bands)
  const shown: ShownMask[] = []
  const leftOut: { kind: MaskName; reason: string }[] = []
  const rows: Tile[][] = []
  for (const kind of maskNames) {
    let own: MaskedConfig
    try {
      own = configOf(kind)
    } catch (error) {
      leftOut.push({ kind, reason: messageOf(error) })
      continue
    }
    const { grid, hidden } = hiddenPlaces(own, exhibit.indices)
    rows.push(tiles.map((tile, b) => greyed(tile, grid, hidden[b]!)))
    shown.push({ kind, hidden: hidden[0]!.reduce((a, b) => a + b, 0), patches: tokenCount(grid) })
  }
  const png = await drawGrid({
    columns: exhibit.names.map((name) => ({
      title: basename(name),
      ...(dirname(name) !== '.' && { subtitle: basename(dirname(name)) }),
    })),
    rows: [tiles, ...rows],
    labels: ['original', ...shown.map(({ kind }) => kind)],
    footer: `mask.ratio ${Number(meanRatio(config.mask).toFixed(4))}, seed ${config.train.seed}, epoch 0.`,
  })
  return { png, images: exhibit.indices.length, shown, leftOut }
}
