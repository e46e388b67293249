/** Kinds of masks on a few images: what an encoder is shown with each, before anything is trained. */
import { basename, dirname } from 'node:path'
import {
  givenStatistics,
  maskedObjectiveOf,
  maskFolderOf,
  maskModelOf,
  usualStatistics,
} from '../config/assemble.ts'
import { backboneOf, expectMasks, maskDesignOf } from '../config/resolve.ts'
import type { Config, MaskedConfig } from '../config/schema.ts'
import { messageOf, SherdError } from '../errors.ts'
import { planMachine } from '../machine/plan.ts'
import { layoutOf } from '../model/backbone-shape.ts'
import { GREY_BYTE } from '../picture/rebuilt-tiles.ts'
import { tilesOfSamples } from '../picture/sample-tiles.ts'
import type { Tile } from '../picture/tile.ts'
import { drawGrid } from '../picture/tile-grid.ts'
import type { MaskFiles } from '../prepare/masks/hidden-patches.ts'
import { toView } from '../prepare/normalize.ts'
import { noGrad } from '../tensor/context.ts'
import { mul, sub, toDevice } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { toFloats } from '../tensor/tensor.ts'
import { type Grid, tokenCount } from '../token/grid.ts'
import { isOfAddress, isOfOtherMask, type MaskName, maskNames } from '../token/keys.ts'
import { hiddenMask, type MaskPlan, maskOf, planFromNoise } from '../token/mask.ts'
import { designedNoise, keptTokens } from '../token/mask-design.ts'
import { meanRatio } from '../token/mask-ratio.ts'
import { openFrozenModels } from '../weights/frozen-model.ts'
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

/** How the images of a preview are masked, by the configuration of a kind. */
export interface HiddenPlaces {
  readonly grid: Grid
  /** Of each sample [L]: 1 where a place is hidden, 2 where it is thrown away; of rasters: in the first group of bands of the first date. */
  readonly hidden: readonly Uint8Array[]
}

function placesOf(plan: MaskPlan, config: MaskedConfig): HiddenPlaces {
  const { grid } = layoutOf(backboneOf(config))
  const places = tokenCount(grid)
  return scope(() => {
    const all = toFloats(toDevice(sub(mul(maskOf(plan), 2), hiddenMask(plan)), 'cpu'))
    const [B, tokens] = plan.restore.shape as readonly [number, number]
    const of = (b: number) => Uint8Array.from(all.subarray(b * tokens, b * tokens + places))
    return { grid, hidden: Array.from({ length: B }, (_, b) => of(b)) }
  })
}

const samplesOf = (indices: readonly number[]) => ({ epochs: new Int32Array(indices.length), indices })

/** By addresses alone. */
export function hiddenPlaces(config: MaskedConfig, indices: readonly number[]): HiddenPlaces {
  const layout = layoutOf(backboneOf(config))
  const design = maskDesignOf(config)
  return scope(() => {
    const noise = designedNoise(layout, design, config.train.seed, samplesOf(indices))
    return placesOf(planFromNoise(noise, keptTokens(layout, design)), config)
  })
}

/** By masks that come with the images. */
function filedPlaces(config: MaskedConfig, { hidden, indices }: Exhibit): HiddenPlaces {
  const { grid } = layoutOf(backboneOf(config))
  const L = tokenCount(grid)
  return { grid, hidden: indices.map((_, b) => hidden!.subarray(b * L, (b + 1) * L)) }
}

/** By the attention of the teacher that `mask.model` names. Throws `CONFIG` where masks follow weights that only a run has. */
async function attendedPlaces(config: MaskedConfig, exhibit: Exhibit): Promise<HiddenPlaces> {
  if (maskModelOf(config) === null)
    throw new SherdError(
      'CONFIG',
      config.mask.kind === 'attention'
        ? 'mask.model is null, and an encoder that is not trained attends to nothing: name one with --set mask.model=RUN'
        : 'masks follow the losses that a run has learned to predict',
    )
  const statistics = givenStatistics(config) ?? usualStatistics(config)
  const { workers } = config.data
  const machine = planMachine({ ...config.train, device: 'cpu', precision: 'fp32', workers })
  const models = await openFrozenModels({ config, statistics, machine })
  const objective = maskedObjectiveOf(config, 'cpu', { models, what: 'A preview of masks' })
  return noGrad(() =>
    scope(() => {
      const image = toView(exhibit, statistics, 'cpu')
      const at = { seed: config.train.seed, samples: samplesOf(exhibit.indices) }
      return placesOf(objective.plan(at, { image }), config)
    }),
  )
}

/** Hidden patches in plain grey, as in pictures of reconstructions, and thrown ones in black. */
function greyed({ width, height, channels, pixels }: Tile, { h, w }: Grid, hidden: Uint8Array): Tile {
  const made = pixels.slice()
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const place = Math.floor((y * h) / height) * w + Math.floor((x * w) / width)
      const at = (y * width + x) * channels
      if (hidden[place]! > 0) made.fill(hidden[place] === 1 ? GREY_BYTE : 0, at, at + channels)
    }
  return { width, height, channels, pixels: made }
}

export interface PreviewOptions {
  /** Assignments (`key.path=value`): a kind takes those of other kinds' keys not. */
  readonly set: readonly string[]
  /** The configuration with assignments; throws where it does not take them. */
  readonly composed: (set: readonly string[]) => Config
  readonly load: (config: Config, masks?: MaskFiles) => Promise<Exhibit>
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
    try {
      const own = configOf(kind)
      const dir = maskFolderOf(own)
      const masks = dir === null ? undefined : { dir, grid: layoutOf(backboneOf(own)).grid }
      const images = masks ? await load(own, masks) : exhibit
      const { grid, hidden } = masks
        ? filedPlaces(own, images)
        : isOfAddress(kind)
          ? hiddenPlaces(own, exhibit.indices)
          : await attendedPlaces(own, exhibit)
      const shownTiles = masks ? tilesOfSamples(images, bands) : tiles
      rows.push(shownTiles.map((tile, b) => greyed(tile, grid, hidden[b]!)))
      const count = hidden[0]!.filter((state) => state === 1).length
      shown.push({ kind, hidden: count, patches: tokenCount(grid) })
    } catch (error) {
      if (!(error instanceof SherdError)) throw error
      leftOut.push({ kind, reason: messageOf(error) })
    }
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
