/**
 * Samples from rasters: for each frame and band the part of the file that the box touches, brought to the finest
 * resolution of the scene, then to the sample's size. float32, in the files' own units; NaN is no data.
 */
import { invariant, SherdError } from '../errors.ts'
import type { RasterFile } from '../source/raster-file.ts'
import type { BandPlace, RasterFolder, RasterFrame, RasterSample } from '../source/raster-folder.ts'
import type { Box, Size } from './crop.ts'
import type { BatchSpace, ImageReader, WantedImage } from './image-reader.ts'
import { checkSize } from './image-size.ts'
import { type OpenRasters, openRasters } from './open-rasters.ts'
import { mirrorRows, resampleBy, resampleRaster, tapsOf } from './raster-resample.ts'
import { reasonOf, refuse } from './refusal.ts'

/** Reads the samples of a folder of rasters; `space.out` holds float32 [rows, T, C, H, W]. */
export function rasterReader(
  source: Pick<RasterFolder, 'dir' | 'files' | 'rasters'>,
  threads: number,
): ImageReader {
  const files = openRasters(source.dir)
  const { samples, bands, nodata, frames } = source.rasters
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
        const reading = { files, bands, nodata, frames: space.frames ?? frames, space }
        reasons.push(await tryRead(sample, image, reading))
      }
      return reasons
    },
    close: files.close,
  }
}

interface Reading {
  readonly files: OpenRasters
  readonly bands: readonly string[]
  readonly nodata: number | null
  /** T */
  readonly frames: number
  readonly space: BatchSpace
}

async function tryRead(sample: RasterSample, image: WantedImage, reading: Reading): Promise<string | null> {
  try {
    await readSample(sample, image, reading)
    return null
  } catch (error) {
    if (error instanceof SherdError && error.code !== 'DECODE' && error.code !== 'SOURCE') throw error
    return reasonOf(error)
  }
}

async function readSample(sample: RasterSample, image: WantedImage, reading: Reading): Promise<void> {
  const { space, bands, frames: most } = reading
  const chosen = chosenFrames(sample.frames, image, most)
  await expectReadable(sample, chosen, reading)
  const { box, flip } = placed(sample, image, space)
  const { target } = space
  const pixels = target.width * target.height
  const values = most * bands.length * pixels
  const out = new Float32Array(space.out.buffer, space.out.byteOffset + image.row * values * 4, values)
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
  if (space.facts) {
    const facts = space.facts.subarray(image.row * (1 + most), (image.row + 1) * (1 + most)).fill(Number.NaN)
    const shrink = Math.sqrt((box.width / target.width) * (box.height / target.height))
    facts[0] = (sample.metresPerPixel ?? Number.NaN) * shrink
    for (const [t, { time }] of chosen.entries()) facts[1 + t] = time ?? Number.NaN
  }
}

/** The frames that are asked for, else evenly spread ones. */
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

/** Tells why a scene whose size is not known cannot be read, before anything is placed in it. */
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
function placed(sample: RasterSample, image: WantedImage, space: BatchSpace): { box: Box; flip: boolean } {
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
  const { box, flip } = image.place({ width: window.width, height: window.height, margin })
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

/** Reads all bands of a frame, those of one file and member together. */
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
    const places = group.map(({ place }) => place)
    const bands = await withFile(reading, group, (file) =>
      readBox(file, places, { sample, box, nodata: reading.nodata }),
    )
    for (const [i, { channel }] of group.entries())
      planes.set(resampleRaster(bands[i]!, box, target), channel * pixels)
  }
}

/** The box of some bands of one size, at the finest resolution of the scene: coarser bands are interpolated. */
async function readBox(
  file: RasterFile,
  places: readonly BandPlace[],
  { sample, box, nodata }: { sample: RasterSample; box: Box; nodata: number | null },
): Promise<Float32Array[]> {
  const size = file.sizeOf(places[0]!)
  if (size.width === sample.width && size.height === sample.height) return file.read(places, box, nodata)
  if (sample.width % size.width !== 0 || sample.height % size.height !== 0)
    refuse(`it has changed since the folder was opened: it is ${size.width} x ${size.height} pixels now`)
  // Pixels beside the box are read too, so that a box is a part of what the whole scene would become.
  const across = tapsOf({ inputs: size.width, outputs: sample.width, first: box.left, count: box.width })
  const down = tapsOf({ inputs: size.height, outputs: sample.height, first: box.top, count: box.height })
  const region = {
    left: across.from,
    top: down.from,
    width: across.to - across.from,
    height: down.to - down.from,
  }
  const coarse = await file.read(places, region, nodata)
  return coarse.map((values) => resampleBy(values, across, down))
}

/** Errors of the file are told with its name and the bands that were wanted of it. */
async function withFile<T>(
  { files, bands }: Reading,
  places: readonly { place: BandPlace; channel: number }[],
  read: (file: RasterFile) => Promise<T>,
): Promise<T> {
  const { file } = places[0]!.place
  try {
    return await files.use(file, read)
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

/** What has no data in one band gets none in all. Returns how many pixels have data. */
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
