/**
 * (epoch, index) → the pixels of that sample, or of a substitute if the file cannot be decoded, so that batches stay full. A sample
 * depends only on its address and the files, not on batch size, threads, timing or resuming. So a bad file is tried again in every
 * epoch: a truncated image fails in some crops only, and remembering failures would make the data depend on the past.
 */
import { type Draws, draws } from '../random/draws.ts'
import { applySteps } from './augment/operators.ts'
import { drawPhotometric, type PhotometricRecipe } from './augment/photometric.ts'
import { randAugment as applyRandAugment, randAugmentDefaults } from './augment/rand-augment.ts'
import { type Crop, type CropKind, crops } from './crop.ts'
import type { Corruption } from './decode/damage.ts'
import type { DecodeRules } from './decode/decode-request.ts'
import type { DepthRange } from './decode/raw-pixels.ts'
import type { OpenFields } from './fields.ts'
import { type Fitting, fitted, sizeOfSample } from './fit.ts'
import type { CropSpace, ImageReader, PlacedSize, SizedPlacement } from './image-reader.ts'
import type { SampleAddress } from './loader/sample-order.ts'
import { hiddenPatches, maskPath, readMaskOf } from './masks/hidden-patches.ts'
import type { SkipLedger } from './skipped.ts'
import {
  type CropCopy,
  copiesOf,
  extentOf,
  hiddenOf,
  resolutionOf,
  timesOf,
  type ViewSpecs,
} from './view-spec.ts'

export interface SampleSettings {
  /** Of the prepared sample in pixels, unless `views` sets it. */
  readonly height: number
  readonly width: number
  /** Default: one crop, `image`, of this height and width. */
  readonly views?: ViewSpecs | undefined
  /** Photometric recipe for images of three channels, unless `views` sets it; default null: none. */
  readonly photometric?: PhotometricRecipe | null | undefined
  /** RandAugment of each crop of three channels, of this mean magnitude; `fill` comes from outside of the image. Default: none. */
  readonly randAugment?: { readonly magnitude: number; readonly fill: readonly number[] } | null | undefined
  /** 1 (luma) or 3 (sRGB). */
  readonly channels: number
  readonly crop: CropKind
  /** Share of the image's area, least and largest; only for the random crop. */
  readonly scale: readonly [number, number]
  /** Width / height, least and largest; only for the random crop. */
  readonly ratio: readonly [number, number]
  /** Mirror half of the samples left to right. */
  readonly flip: boolean
  readonly seed: number
  /** Images with a side shorter than this (the patch) are skipped. */
  readonly minSide: number
  /** Images of more pixels than this are skipped. */
  readonly maxPixels: number
  /** Treatment of damaged images; default `skip`. */
  readonly corrupt?: Corruption | undefined
  /** Time limits of reading and of decoding a file, in seconds; default 30. */
  readonly fileTimeout?: number | undefined
  /** The values of 16-bit images that map to 0 and 255; default null: the high byte. */
  readonly range?: DepthRange | null
  readonly rules?: DecodeRules | undefined
  /** How centred crops are made of whole images; default: of the largest centred box. */
  readonly fitting?: Fitting | null | undefined
  /** T of rasters; null (default) for images. */
  readonly frames?: number | null
  /** Rasters with a smaller share of pixels with data are replaced; default 0. */
  readonly minValid?: number
}

export const viewsOfSamples = ({
  views,
  height,
  width,
}: Pick<SampleSettings, 'views' | 'height' | 'width'>) =>
  views ?? { image: { kind: 'crop', count: 1, size: [height, width] } as const }

/** Reads samples to rows `row`, `row + 1` … of fields. Returns the indices that were used: the given ones or their substitutes'. */
export type SampleReader = (
  addresses: readonly SampleAddress[],
  fields: OpenFields,
  row: number,
) => Promise<number[]>

/** Random shift of a window along one side, at most half of it. */
function shift(random: Draws, size: number, before: number, after: number): number {
  const low = Math.min(before, size >> 1)
  return random.below(low + Math.min(after, size >> 1) + 1) - low
}

/** A copy as every sample needs it: the settings looked up once. */
function ready({ view, copy, spec, stream, photometric }: CropCopy, samples: SampleSettings) {
  const { crop, flip, scale, ratio } = { ...samples, ...spec }
  const [height, width] = spec.size
  return {
    ...{
      view,
      copy,
      masks: spec.masks,
      mayFlip: flip,
      isRandom: crop === 'random',
      crop: crops[crop] as Crop,
    },
    fitting: (crop === 'center' && samples.fitting) || null,
    settings: { scale, ratio, target: { height, width } },
    streams: {
      crop: `${stream}crop`,
      flip: `${stream}flip`,
      window: `${stream}window`,
      augment: `${stream}augment`,
    },
    recipe: photometric === undefined ? samples.photometric : photometric,
  }
}
type ReadyCopy = ReturnType<typeof ready>

/** Masks that are read at once. */
const MASKS_TOGETHER = 8

/** A copy of a sample with a mask. */
interface Masked {
  readonly copy: ReadyCopy
  readonly image: PlacedSize
  readonly placement: SizedPlacement
}

export function sampleReader(
  { reader, files }: { reader: ImageReader; files: readonly string[] },
  settings: SampleSettings,
  skipped: SkipLedger,
): SampleReader {
  const {
    seed,
    channels,
    minSide,
    maxPixels,
    range = null,
    frames = null,
    minValid = 0,
    randAugment,
  } = settings
  const rules = settings.fitting?.isExact ? { ...settings.rules, isExact: true } : settings.rules
  const copies = copiesOf(viewsOfSamples(settings)).map((each) => ready(each, settings))
  const place = ({ epoch, index }: SampleAddress, image: PlacedSize, copy: ReadyCopy): SizedPlacement => {
    const { streams, fitting } = copy
    if (fitting) {
      const target = sizeOfSample(image, copy.settings.target, fitting)
      return { ...fitted(image, target, fitting), target, flip: false }
    }
    const box = copy.crop(image, copy.settings, draws({ seed, stream: streams.crop, epoch, index }))
    const flip = copy.mayFlip && draws({ seed, stream: streams.flip, epoch, index }).uniform() < 0.5
    if (!copy.isRandom || !image.margin) return { box, flip }
    const { left, top, right, bottom } = image.margin
    const random = draws({ seed, stream: streams.window, epoch, index })
    const x = shift(random, image.width, left, right)
    const y = shift(random, image.height, top, bottom)
    return { box: { ...box, left: box.left + x, top: box.top + y }, flip }
  }
  /** Random dates of a series, in order. */
  const chooseFrames = ({ epoch, index }: SampleAddress, available: number): readonly number[] =>
    [...draws({ seed, stream: 'frames', epoch, index }).permutation(available)]
      .slice(0, frames ?? 1)
      .sort((a, b) => a - b)
  const isRandom = copies.some((copy) => copy.isRandom)
  const hasMasks = copies.some(({ masks }) => masks)
  const haveOwnSizes = frames === null && Boolean(settings.fitting?.budget)
  /** Fills the field of a sample's masks. Returns the reason why they cannot be its own, or null. */
  const readMasks = async (masked: readonly Masked[], file: string, fields: OpenFields, row: number) => {
    for (const { copy, image, placement } of masked) {
      const { dir, grid } = copy.masks!
      const mask = await readMaskOf(maskPath(dir, file), image, maxPixels)
      if (typeof mask === 'string') return mask
      const whole = { ...placement, target: placement.target ?? copy.settings.target }
      fields[hiddenOf(copy.view)]!.at(copy.copy, row).set(hiddenPatches(mask, image, whole, grid))
    }
    return null
  }
  return async (addresses, fields, first) => {
    const spaces = copies.map(({ view, copy, settings: { target } }): CropSpace => {
      const rows = (name: string) => {
        const { buffer, byteOffset, byteLength } = fields[name]!.at(copy, first)
        return [buffer, byteOffset, byteLength * addresses.length] as const
      }
      const numbersOf = (name: string) => {
        const [buffer, at, bytes] = rows(name)
        return new Float64Array(buffer, at, bytes / 8)
      }
      const out = new Uint8Array(...rows(view))
      const crop = {
        target,
        channels,
        rules,
        out,
        ...(haveOwnSizes && { stride: out.length / addresses.length }),
      }
      if (frames === null) return crop
      return {
        ...crop,
        facts: { times: numbersOf(timesOf(view)), resolution: numbersOf(resolutionOf(view)) },
      }
    })
    const [space, ...others] = spaces as [CropSpace, ...CropSpace[]]
    const used = addresses.map(({ index }) => index)
    const substitutes = new Map<number, Draws>()
    let rows = [...addresses.keys()]
    while (rows.length > 0) {
      const masked = new Map<number, Map<number, Masked>>(rows.map((row) => [row, new Map()]))
      const wanted = rows.map((row) => {
        const address = { epoch: addresses[row]!.epoch, index: used[row]! }
        return {
          ...{ row, index: used[row]! },
          place(image: PlacedSize, crop: number) {
            const placed = place(address, image, copies[crop]!)
            if (copies[crop]!.masks)
              masked.get(row)!.set(crop, { copy: copies[crop]!, image, placement: placed })
            const { target } = placed
            if (target && haveOwnSizes) {
              const { view, copy } = copies[crop]!
              fields[extentOf(view)]!.at(copy, first + row).set([target.height, target.width])
            }
            return placed
          },
          ...(isRandom && { frames: (available: number) => chooseFrames(address, available) }),
        }
      })
      const reasons = await reader.read(wanted, {
        ...{ ...space, minSide, maxPixels, range },
        ...{ corrupt: settings.corrupt, fileTimeout: settings.fileTimeout },
        ...(frames !== null && { frames, minValid }),
        ...(others.length > 0 && { others }),
      })
      if (hasMasks) {
        const good = wanted.map((_, i) => i).filter((i) => reasons[i] === null)
        for (let at = 0; at < good.length; at += MASKS_TOGETHER)
          await Promise.all(
            good.slice(at, at + MASKS_TOGETHER).map(async (i) => {
              const { row, index } = wanted[i]!
              const own = [...masked.get(row)!.values()]
              reasons[i] = await readMasks(own, files[index]!, fields, first + row)
            }),
          )
      }
      rows = rows.filter((_, i) => reasons[i] !== null)
      for (const [i, reason] of reasons.entries()) {
        if (reason === null) continue
        const { row, index } = wanted[i]!
        skipped.add({ file: files[index]!, reason })
        const next = substitutes.get(row) ?? draws({ seed, stream: 'substitute', ...addresses[row]! })
        substitutes.set(row, next)
        used[row] = next.below(files.length)
      }
    }
    for (const [i, { view, copy, recipe, settings }] of copies.entries()) {
      if (!recipe) continue
      const { out } = spaces[i]!
      const bytes = out.length / addresses.length
      for (const [row, { epoch }] of addresses.entries()) {
        const steps = drawPhotometric(recipe, { seed, epoch, index: used[row]!, view: `${view}.${copy}` })
        const pixels = out.subarray(row * bytes, (row + 1) * bytes)
        pixels.set(applySteps({ ...settings.target, pixels }, steps).pixels)
      }
    }
    if (randAugment && channels === 3 && frames === null)
      for (const [i, { streams, settings }] of copies.entries()) {
        const { out } = spaces[i]!
        const bytes = out.length / addresses.length
        for (const [row, { epoch }] of addresses.entries()) {
          const own = draws({ seed, stream: streams.augment, epoch, index: used[row]! })
          const pixels = out.subarray(row * bytes, (row + 1) * bytes)
          const options = { ...randAugmentDefaults, magnitude: randAugment.magnitude }
          applyRandAugment({ ...settings.target, pixels }, options, own, randAugment.fill)
        }
      }
    return used
  }
}
