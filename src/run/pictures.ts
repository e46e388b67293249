/** Reconstructions of a few images, as a run sees them: centred crops, a mask that depends on nothing but the image. */

import { alone } from '../collective/collective.ts'
import { fittingOf, sampleSize } from '../config/assemble.ts'
import { backboneOf, rastersOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { pause, SherdError } from '../errors.ts'
import { weightsOf } from '../model/parameters.ts'
import type { At } from '../objective/objective.ts'
import { valuesAt } from '../optim/schedule.ts'
import { groupComposites } from '../picture/composite.ts'
import type { RasterLook } from '../picture/rebuilt-tiles.ts'
import { type Reconstructions, showExposure } from '../picture/reconstruction.ts'
import { fitted } from '../prepare/fit.ts'
import { hiddenPatches, type MaskFiles, maskPath, readMaskOf } from '../prepare/masks/hidden-patches.ts'
import { toView } from '../prepare/normalize.ts'
import { openReader } from '../prepare/open-reader.ts'
import { type Pixels, pickSamples, sampleSpace } from '../prepare/pixels.ts'
import { brokenData, isEmpty, type SkippedFile, skipLedger } from '../prepare/skipped.ts'
import type { View } from '../prepare/view.ts'
import type { Size } from '../source/box.ts'
import type { ImageSource } from '../source/open.ts'
import type { StatisticsUsed } from '../target/patch-statistics.ts'
import { autocastFrozen, noGrad } from '../tensor/context.ts'
import { scope } from '../tensor/scope.ts'
import type { Model } from '../weights/load-model.ts'

export type Exhibit = Pixels & {
  /** The index in the source of each image. */
  readonly indices: readonly number[]
  readonly names: readonly string[]
  /** [B, L] of `View`. */
  readonly hidden?: Uint8Array
}

export interface ExhibitWatch {
  /** Images that are read. */
  readonly onProgress?: ((done: number, of: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ExhibitOptions extends ExhibitWatch {
  /** Read for each image. */
  readonly masks?: MaskFiles | undefined
}

/**
 * Up to `count` images, by default what fills a picture, spread evenly over the source; files that cannot be used are passed over. Throws `DATA_BROKEN` when there are
 * more of them than the configuration allows, or nothing else.
 */
export async function loadExhibit(
  config: Config,
  source: ImageSource,
  count: number = samplesOfPicture(config, 8),
  { onProgress, signal, masks }: ExhibitOptions = {},
): Promise<Exhibit> {
  const size = sampleSize(config)
  const { height, width, channels, frames, ...limits } = size
  const target = { height, width }
  const fitting = fittingOf(config)
  const isExact = fitting?.isExact ?? false
  let shown: Size = target
  const placeOf = (image: Size) => ({ ...fitted(image, target, fitting), target, flip: false })
  const place = (image: Size) => {
    shown = image
    const { target: _, ...placement } = placeOf(image)
    return placement
  }
  const hidden: Uint8Array[] = []
  /** The reason why an image has no mask, or null. */
  const readMask = async ({ dir, grid }: MaskFiles, file: string) => {
    const mask = await readMaskOf(maskPath(dir, file), shown, limits.maxPixels)
    if (typeof mask === 'string') return mask
    hidden.push(hiddenPatches(mask, shown, placeOf(shown), grid))
    return null
  }
  const reader = openReader(source, 1)
  const indices: number[] = []
  const limit = {
    files: source.files.length,
    maxShare: config.data.maxSkippedShare,
    corrupt: config.data.corrupt,
  }
  const empty: SkippedFile[] = []
  const ledger = skipLedger(limit, (file) => {
    if (isEmpty(file.reason)) empty.push(file)
  })
  const wanted = Math.min(count, source.files.length)
  const { samples, out, facts } = sampleSpace(wanted, { ...size, isExact })
  const tried = new Set<number>()
  const spread = Array.from({ length: wanted }, (_, i) => Math.floor((i * source.files.length) / wanted))
  try {
    for (const index of [...spread, ...source.files.keys()]) {
      if (indices.length === wanted) break
      if (tried.has(index)) continue
      tried.add(index)
      const file = source.files[index]!
      const [refused = null] = await reader.read([{ index, row: indices.length, place }], {
        ...{ target, channels, out, facts, ...limits },
        ...(frames !== null && { frames }),
        ...(isExact && { rules: { ...limits.rules, isExact } }),
      })
      const reason = refused ?? (masks ? await readMask(masks, file) : null)
      if (reason === null) indices.push(index)
      else {
        ledger.add({ file, reason })
        if (empty.length > 100) break
      }
      onProgress?.(indices.length, wanted)
      await pause(signal, { done: indices.length, of: wanted, continues: false })
    }
  } finally {
    reader.close()
  }
  if (indices.length === 0) throw brokenData(empty, { ...limit, files: empty.length })
  return {
    ...pickSamples(samples, [...indices.keys()]),
    indices,
    names: indices.map((index) => source.files[index]!),
    ...(masks && { hidden: Uint8Array.from(hidden.flatMap((each) => [...each])) }),
  }
}

/** Called inside a scope. */
export const viewOfExhibit = (
  exhibit: Exhibit,
  { statistics, device }: Pick<Model, 'statistics' | 'device'>,
): View => ({
  ...toView(exhibit, statistics, device),
  ...(exhibit.hidden && { hidden: exhibit.hidden }),
})

/** Whether there is anything to draw of it. */
export const hasPictures = ({ objective }: Pick<Model, 'objective'>): boolean => objective.show !== undefined

/**
 * What the model makes of the exhibit's images. The mask of an image is drawn at (seed, `mask`, epoch 0, its index). Throws `USAGE` for an
 * objective that shows nothing, and for statistics where there are no pixels.
 */
export function reconstructExhibit(
  { config, objective, parameters, statistics, device, precision: dtype = 'float32' }: Model,
  exhibit: Exhibit,
  seed: number,
  { used, composites }: { used?: readonly StatisticsUsed[]; composites?: readonly string[] } = {},
): Reconstructions {
  if (exhibit.shape[0] === 0) throw new SherdError('SOURCE', 'There is no image to reconstruct.')
  const { show } = objective
  if (!show)
    throw new SherdError(
      'USAGE',
      `A model of objective ${config.objective} has no pictures of its own: "sherd look" draws its features, "sherd evaluate" measures them.`,
    )
  const look = lookOf(config, exhibit, composites)
  return noGrad(() =>
    scope(() => {
      const view = viewOfExhibit(exhibit, { statistics, device })
      const exposure = autocastFrozen({ device, dtype }, () =>
        show(weightsOf(parameters), { image: view }, pictureAt(objective, seed, exhibit.indices)),
      )
      if (used && !exposure.shown.some(({ kind }) => kind === 'pixels'))
        throw new SherdError('USAGE', 'This run predicts no pixels: leave the statistics out.')
      return showExposure({
        ...{ exposure, view, shape: backboneOf(config), channelStatistics: statistics },
        ...(look && { look }),
        ...(used && { statistics: used }),
      })
    }),
  )
}

/** The address of a picture: the first step, whatever step the weights are of, so that pictures of a run compare. */
function pictureAt({ schedules = {} }: Model['objective'], seed: number, indices: readonly number[]): At {
  const first = { step: 0, epoch: 0, stepsPerEpoch: 1, totalSteps: 1 }
  const samples = { epochs: new Int32Array(indices.length), indices }
  const rows = { samples, firstRow: 0, rows: indices.length }
  return { seed, step: 0, epoch: 0, ...rows, value: valuesAt(schedules, first), collective: alone }
}

/** How rasters are shown: by the composites that are asked for, else in true colour, by NDVI, and by each group of bands. */
function lookOf(config: Config, { names }: Exhibit, composites: readonly string[] = []): RasterLook | null {
  const rasters = rastersOf(config)
  if (!rasters) return null
  const { data, model } = rasters
  return { names, composites: groupComposites(composites, data.bands, model.groups) }
}

/** Rows that a picture of a run has, about. */
const ROWS = 32

/** How many samples fill a picture: as many images as are wanted, or fewer rasters, which take several rows each. */
export function samplesOfPicture(config: Config, images: number): number {
  const rasters = rastersOf(config)
  if (!rasters) return images
  const { data, model } = rasters
  const rows = model.frames * groupComposites([], data.bands, model.groups).length
  return Math.max(1, Math.min(images, Math.floor(ROWS / rows)))
}
