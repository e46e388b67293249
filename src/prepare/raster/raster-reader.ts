/**
 * Samples from rasters: reads the part of each frame and band in the box, resamples it to the finest resolution of the scene,
 * then to the sample's size. float32, in the files' units; NaN is no data.
 */
import { invariant, SherdError } from '../../errors.ts'
import type { Box, Size } from '../../source/box.ts'
import type { BandPlace, RasterFile, RasterFrame, ReadOptions } from '../../source/raster/raster-file.ts'
import type { RasterFolder, RasterSample } from '../../source/raster/raster-folder.ts'
import { giveUpOn, isGivenUp, late, orLate } from '../decode/deadline.ts'
import { checkSize, defaultFileTimeout, lateReason } from '../decode/image-size.ts'
import type { Placement } from '../decode/placement.ts'
import { reasonOf, refuse } from '../decode/refused-file.ts'
import {
  type BatchSpace,
  type CropSpace,
  cropsOf,
  type ImageReader,
  type PlacedSize,
  type WantedImage,
} from '../image-reader.ts'
import { type OpenRasters, openRasters } from './open-rasters.ts'
import { mirrorRows, resampleBy, resampleRaster, reverseRows, tapsOf } from './raster-resample.ts'

/** Largest number of values in memory, unless the sample itself is larger. */
const MOST_AT_ONCE = 2 ** 24

/** Reads the samples of a folder of rasters; `space.out` holds float32 [rows, T, C, H, W]. */
export function rasterReader(
  source: Pick<RasterFolder, 'dir' | 'files' | 'rasters'>,
  threads: number,
  atOnce = MOST_AT_ONCE,
): ImageReader {
  const files = openRasters(source.dir)
  const { samples, bands, nodata, applyScale, frames } = source.rasters
  return {
    together: 1,
    atOnce: threads,
    async read(images, space) {
      if (space.channels !== bands.length)
        throw new SherdError(
          'VALUE',
          `${source.dir} gives ${bands.length} bands, but ${space.channels} channels are wanted.`,
        )
      const reasons: (string | null)[] = []
      for (const image of images) {
        const sample = samples[image.index]!
        const reading = {
          files,
          bands,
          values: { nodata, applyScale },
          atOnce,
          frames: space.frames ?? frames,
          space,
          watch: { isLate: false },
        }
        const seconds = space.fileTimeout ?? defaultFileTimeout
        const name = `${source.dir}\n${source.files[image.index]}`
        if (isGivenUp(name)) {
          reasons.push(lateReason('reading it', seconds))
          continue
        }
        const work = tryRead(sample, image, reading)
        const read = await orLate(work, seconds)
        reasons.push(read === late ? lateReason('reading it', seconds) : read)
        if (read !== late) continue
        reading.watch.isLate = true // it must not write any more
        giveUpOn(name, work)
      }
      return reasons
    },
    close: files.close,
  }
}

interface Reading {
  readonly files: OpenRasters
  readonly bands: readonly string[]
  readonly values: ReadOptions
  readonly atOnce: number
  /** T */
  readonly frames: number
  readonly space: BatchSpace
  /** Set if it timed out. */
  readonly watch: { readonly isLate: boolean }
}

async function tryRead(sample: RasterSample, image: WantedImage, reading: Reading): Promise<string | null> {
  try {
    const chosen = chosenFrames(sample.frames, image, reading.frames)
    await expectReadable(sample, chosen, reading)
    for (const [crop, own] of cropsOf(reading.space).entries())
      await readCrop(sample, chosen, { image, crop, own, reading })
    return null
  } catch (error) {
    if (error instanceof SherdError && error.code !== 'DECODE' && error.code !== 'SOURCE') throw error
    return reasonOf(error)
  }
}

interface CropRequest {
  readonly image: WantedImage
  readonly crop: number
  readonly own: CropSpace
  readonly reading: Reading
}

/** Blocks shared by several crops are decoded once, by the cache of open files. */
async function readCrop(
  sample: RasterSample,
  chosen: readonly RasterFrame[],
  { image, crop, own, reading }: CropRequest,
): Promise<void> {
  const { space, bands, frames: most } = reading
  const { box, flip } = placed(sample, (size) => image.place(size, crop), space)
  const { target } = own
  const pixels = target.width * target.height
  const values = most * bands.length * pixels
  const out = new Float32Array(own.out.buffer, own.out.byteOffset + image.row * values * 4, values)
  out.fill(Number.NaN)
  const valid = new Float64Array(bands.length) // pixels with data, of each band
  let shared = 0 // pixels with data in all bands
  for (const [t, frame] of chosen.entries()) {
    const planes = out.subarray(t * bands.length * pixels, (t + 1) * bands.length * pixels) // [C, H, W]
    await readFrame(frame, { sample, box, target, planes, reading })
    for (let c = 0; c < bands.length; c++)
      valid[c]! += countValid(planes.subarray(c * pixels, (c + 1) * pixels))
    shared += shareNoData(planes, pixels)
    if (flip) mirrorRows(planes, target.width)
  }
  expectData({ shared, valid, all: chosen.length * pixels }, reading)
  if (own.facts) {
    const { times, resolution } = own.facts
    const shrink = Math.sqrt((box.width / target.width) * (box.height / target.height))
    resolution[image.row] = (sample.metresPerPixel ?? Number.NaN) * shrink
    for (let t = 0; t < most; t++) times[image.row * most + t] = chosen[t]?.time ?? Number.NaN
  }
}

/** The requested frames, by default evenly spread ones. */
function chosenFrames(frames: readonly RasterFrame[], image: WantedImage, most: number): RasterFrame[] {
  const available = frames.length
  const spread = () => Array.from({ length: most }, (_, i) => Math.floor(((i + 0.5) * available) / most))
  const indices = image.frames?.(available) ?? (available <= most ? [...frames.keys()] : spread())
  invariant(
    indices.length <= most &&
      indices.every((index, i) => frames[index] && (i === 0 || index > indices[i - 1]!)),
    `frames ${indices.join(', ')} of ${available} were asked for, at most ${most} in ascending order can be`,
  )
  return indices.map((index) => frames[index]!)
}

/** Throws the reason why a scene of unknown size is unreadable. */
async function expectReadable(
  sample: RasterSample,
  chosen: readonly RasterFrame[],
  reading: Reading,
): Promise<void> {
  if (sample.width > 0) return
  for (const { bands } of chosen)
    for (const [channel, place] of bands.entries())
      await withFile(reading, [{ place, channel }], async () => {})
  refuse('the file could not be read when the folder was opened, but can be now: start again')
}

/** The box in pixels of the scene. */
function placed(sample: RasterSample, place: (image: PlacedSize) => Placement, space: BatchSpace): Placement {
  const { width, height } = sample
  const window = sample.window ?? { left: 0, top: 0, width, height }
  const margin = {
    ...{ left: window.left, top: window.top },
    right: width - window.left - window.width,
    bottom: height - window.top - window.height,
  }
  if (margin.right < 0 || margin.bottom < 0)
    refuse(
      `the scene of ${width} x ${height} pixels is smaller than a window of ${window.width} x ${window.height}; remove it, or make the windows smaller`,
    )
  checkSize(window, space)
  const { box, flip } = place({ width: window.width, height: window.height, margin })
  const left = window.left + box.left
  const top = window.top + box.top
  invariant(
    box.width >= 1 &&
      box.height >= 1 &&
      left >= 0 &&
      top >= 0 &&
      left + box.width <= width &&
      top + box.height <= height,
    `a box of ${box.width} x ${box.height} at ${left}, ${top} lies outside a scene of ${width} x ${height}`,
  )
  return { box: { ...box, left, top }, flip }
}

interface FrameRequest {
  readonly sample: RasterSample
  readonly box: Box
  readonly target: Size
  /** [C, H, W] */
  readonly planes: Float32Array
  readonly reading: Reading
}

/** Reads all bands of a frame, grouped by file and member. */
async function readFrame(
  frame: RasterFrame,
  { sample, box, target, planes, reading }: FrameRequest,
): Promise<void> {
  const groups = new Map<string, { place: BandPlace; channel: number }[]>()
  for (const [channel, place] of frame.bands.entries()) {
    const key = `${place.file}\n${place.member ?? ''}`
    const group = groups.get(key)
    if (group) group.push({ place, channel })
    else groups.set(key, [{ place, channel }])
  }
  const pixels = target.width * target.height
  for (const group of groups.values()) {
    const { item, frame: number } = frame
    const places = group.map(({ place }) => ({
      ...place,
      ...(item !== undefined && { item }),
      ...(number !== undefined && { frame: number }),
    }))
    const bands = await withFile(reading, group, (file) =>
      readBox(file, places, { sample, box, target, ...reading }),
    )
    for (const [i, { channel }] of group.entries()) planes.set(bands[i]!, channel * pixels)
  }
}

interface BoxRequest
  extends Pick<FrameRequest, 'sample' | 'box' | 'target'>,
    Pick<Reading, 'values' | 'atOnce'> {}

/** Reads and resamples the box of bands of equal size, some rows at a time. */
async function readBox(
  file: RasterFile,
  places: readonly BandPlace[],
  { sample, box, target, values, atOnce }: BoxRequest,
): Promise<Float32Array[]> {
  const all = box.width * box.height * places.length
  if (all <= atOnce || (box.width === target.width && box.height === target.height)) {
    const read = await readPart(file, places, { sample, box, values })
    return read.map((band) => resampleRaster(band, box, target))
  }
  const across = tapsOf({ inputs: box.width, outputs: target.width })
  const out = places.map(() => new Float32Array(target.width * target.height))
  const rows = Math.max(1, Math.floor((atOnce * target.height) / all))
  for (let first = 0; first < target.height; first += rows) {
    const count = Math.min(rows, target.height - first)
    const down = tapsOf({ inputs: box.height, outputs: target.height, first, count })
    const part = { left: box.left, top: box.top + down.from, width: box.width, height: down.to - down.from }
    const isSame = isAbsent(file, places, { sample, box: part })
    const read = await readPart(file, places, {
      ...{ sample, values, box: isSame ? { ...part, width: 1, height: 1 } : part },
    })
    for (const [i, band] of read.entries())
      if (isSame) out[i]!.fill(band[0]!, first * target.width, (first + count) * target.width)
      else out[i]!.set(resampleBy(band, across, down), first * target.width)
  }
  return out
}

type PartRequest = Pick<BoxRequest, 'sample' | 'values'> & { readonly box: Box }

function scaleOf(file: RasterFile, places: readonly BandPlace[], sample: RasterSample): Size {
  const size = file.sizeOf(places[0]!)
  if (sample.width % size.width !== 0 || sample.height % size.height !== 0)
    refuse(`it has changed since the folder was opened: it is ${size.width} x ${size.height} pixels now`)
  return size
}

/** Whether a part of the scene is constant, since its blocks are sparse. */
function isAbsent(
  file: RasterFile,
  places: readonly BandPlace[],
  { sample, box }: Omit<PartRequest, 'values'>,
): boolean {
  if (!file.isAbsent) return false
  const size = scaleOf(file, places, sample)
  return file.isAbsent(places, inFile(regionOf(size, { sample, box }).region, size, places))
}

/** A part of the scene in pixels of the band, with the margin that interpolation needs. */
function regionOf(size: Size, { sample, box }: Omit<PartRequest, 'values'>) {
  const across = tapsOf({ inputs: size.width, outputs: sample.width, first: box.left, count: box.width })
  const down = tapsOf({ inputs: size.height, outputs: sample.height, first: box.top, count: box.height })
  const region = {
    ...{ left: across.from, top: down.from },
    ...{ width: across.to - across.from, height: down.to - down.from },
  }
  return { across, down, region }
}

/** A region in the file's order of rows. */
const inFile = (region: Box, { height }: Size, [place]: readonly BandPlace[]): Box =>
  place!.isUpsideDown ? { ...region, top: height - region.top - region.height } : region

/** A part of the scene, at its finest resolution: coarser bands are interpolated. */
async function readPart(
  file: RasterFile,
  places: readonly BandPlace[],
  { sample, box, values }: PartRequest,
): Promise<Float32Array[]> {
  const size = scaleOf(file, places, sample)
  const read = async (region: Box) => {
    const bands = await file.read(places, inFile(region, size, places), values)
    if (places[0]!.isUpsideDown) for (const band of bands) reverseRows(band, region.width)
    return bands
  }
  if (size.width === sample.width && size.height === sample.height) return read(box)
  // With a margin, so that the result equals that of resampling the whole scene.
  const { across, down, region } = regionOf(size, { sample, box })
  return (await read(region)).map((band) => resampleBy(band, across, down))
}

/** Adds the file name and the requested bands to read errors. */
async function withFile<T>(
  { files, bands, watch }: Reading,
  places: readonly { place: BandPlace; channel: number }[],
  read: (file: RasterFile) => Promise<T>,
): Promise<T> {
  const { file } = places[0]!.place
  try {
    const got = await files.use(file, read)
    if (watch.isLate) refuse('it came too late') // its row may belong to another sample now
    return got
  } catch (error) {
    if (error instanceof SherdError && error.code !== 'SOURCE' && error.code !== 'DECODE') throw error
    const names = places.map(({ channel }) => bands[channel]!)
    refuse(`${file} (${names.length === 1 ? 'band' : 'bands'} ${names.join(', ')}): ${reasonOf(error)}`)
  }
}

function countValid(values: Float32Array): number {
  let count = 0
  for (let i = 0; i < values.length; i++) if (!Number.isNaN(values[i]!)) count++
  return count
}

/** Marks pixels without data in one band as no data in all. Returns the number of pixels with data. */
function shareNoData(planes: Float32Array, pixels: number): number {
  let count = 0
  for (let i = 0; i < pixels; i++) {
    let isValid = true
    for (let at = i; at < planes.length; at += pixels) isValid &&= !Number.isNaN(planes[at]!)
    if (isValid) count++
    else for (let at = i; at < planes.length; at += pixels) planes[at] = Number.NaN
  }
  return count
}

function expectData(
  { shared, valid, all }: { shared: number; valid: Float64Array; all: number },
  { bands, space }: Reading,
): void {
  const least = space.minValid ?? 0
  if (shared > 0 && shared >= least * all) return
  const empty = bands.filter((_, c) => valid[c] === 0)
  const percent = (share: number) => `${Number((100 * share).toPrecision(3))} %`
  const wanted = shared > 0 ? `, and ${percent(least)} are wanted` : ''
  const blame =
    empty.length > 0 && empty.length < bands.length
      ? `; ${empty.join(', ')} ${empty.length === 1 ? 'has' : 'have'} none at all`
      : ''
  refuse(`no data: ${percent(shared / all)} of the pixels have values in all bands${wanted}${blame}`)
}
