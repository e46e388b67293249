/**
 * A folder of rasters as a source of samples: scenes of any bands in GeoTIFF or NumPy files, one file per scene or per band, whole or cut
 * into windows, of one date or a series. Reads every header and no pixels.
 */
import { resolve } from 'node:path'
import { SherdError } from '../../errors.ts'
import { classesOf } from '../classes.ts'
import type { SampleFiles } from '../image-folder.ts'
import { leftOutNotes } from '../left-out.ts'
import { listFiles } from '../list-files.ts'
import { canonicalBand } from './band-names.ts'
import { isArray, samplesOfArray } from './raster-arrays.ts'
import type { RasterContent, RasterFrame } from './raster-file.ts'
import { rasterExtensions } from './raster-formats.ts'
import { type PathFacts, pathReader } from './raster-path.ts'
import { type Probed, type ProbedFile, probeRasters } from './raster-probe.ts'
import { scaleNotes } from './raster-scales.ts'
import { type Scene, scenesOf } from './raster-scenes.ts'
import { seriesOf } from './raster-series.ts'
import { type RasterWindow, windowsOf } from './raster-windows.ts'

export interface RasterOptions {
  /** Requested bands, in the order of the channels. */
  readonly bands: readonly string[]
  /** Names of the bands of files that do not state them. */
  readonly bandNames: readonly string[] | null
  /** A regular expression over the path below the folder with optional groups `series`, `date`, `band`. */
  readonly pattern: string | null
  /** Dates per sample. */
  readonly frames: number
  /** Side in pixels of windows; null: a sample is a whole scene. */
  readonly window: number | null
  /** Overrides the files' no-data value; null: as in the files. */
  readonly nodata: number | null
  /** Whether to apply the files' scale and offset; default false. */
  readonly applyScale?: boolean
}

export interface RasterSample {
  /** All frames, ascending in time, of which a sample may take fewer. */
  readonly frames: readonly RasterFrame[]
  /** Of the whole scene, in pixels of its finest band; 0 if unreadable. */
  readonly width: number
  readonly height: number
  readonly window: RasterWindow | null
  /** Of the finest band; null if unknown. */
  readonly metresPerPixel: number | null
}

export interface Rasters {
  readonly bands: readonly string[]
  readonly frames: number
  readonly nodata: number | null
  readonly applyScale: boolean
  readonly samples: readonly RasterSample[]
}

/** `files` are the names of the samples. Can be sent to other threads by structured clone. */
export interface RasterFolder extends SampleFiles {
  readonly kind: 'rasters'
  /** The place of each sample, shared by its dates and windows. */
  readonly places: readonly string[]
  readonly rasters: Rasters
}

interface NamedSample extends Omit<RasterSample, 'window'> {
  readonly name: string
  readonly place: string
}

/**
 * Opens the rasters in and below `dir`. Unreadable files become samples that fail when they are read. Throws `SOURCE` with the file and
 * the band if there are no rasters or all are broken, a band is missing or duplicated, dates are ambiguous, or files do not align.
 */
export async function openRasterFolder(dir: string, options: RasterOptions): Promise<RasterFolder> {
  checkOptions(options)
  const { bands, bandNames, frames, nodata, applyScale = false } = options
  const root = resolve(dir)
  const { paths, notes } = await pathsOf(root, options)
  const probed = await probeRasters(paths, { dir: root, bands, bandNames, frames })
  notes.push(...scaleNotes(probed.files, { bands, applyScale }))
  const named = samplesOf(probed.files, options, notes)
  checkUsable(root, named, { ...probed, window: options.window })
  const files: string[] = []
  const samples: RasterSample[] = []
  const places: string[] = []
  for (const { name, place, ...sample } of named)
    for (const { window, name: cell } of windowsOf(sample, options.window)) {
      files.push(cell === null ? name : `${name}#${cell}`)
      samples.push({ ...sample, window })
      places.push(place)
    }
  return {
    kind: 'rasters',
    dir: root,
    files,
    places,
    ...classesOf(files),
    notes,
    rasters: { bands: [...bands], frames, nodata, applyScale, samples },
  }
}

async function pathsOf(
  root: string,
  { pattern, bands, bandNames }: RasterOptions,
): Promise<{ paths: PathFacts[]; notes: string[] }> {
  const read = pathReader(pattern, [...bands, ...(bandNames ?? [])])
  const kind = { name: 'rasters', extensions: rasterExtensions }
  const listed = await listFiles(root, kind)
  const { files, others } = listed
  if (files.length === 0) {
    const example = others[0] === undefined ? '' : `, such as ${JSON.stringify(others[0])}`
    throw new SherdError(
      'SOURCE',
      `No rasters in ${root} or below it: ${others.length} other files were seen${example}. ` +
        `Files ending in ${rasterExtensions.join(' ')} are read; names that start with a dot are not.`,
    )
  }
  const paths = files.map(read).filter((path) => path !== null)
  if (paths.length === 0)
    throw new SherdError(
      'SOURCE',
      `The pattern ${JSON.stringify(pattern)} matches none of ${files.length} rasters in ${root}, such as ${JSON.stringify(files[0])}. It is compared with the path below the folder, with "/".`,
    )
  return { paths, notes: leftOutNotes(root, listed, kind) }
}

/** All samples before windowing, sorted by name. */
function samplesOf(
  files: readonly ProbedFile[],
  { bands, frames }: RasterOptions,
  notes: string[],
): NamedSample[] {
  const arrays = files.filter((file): file is ProbedFile & { content: RasterContent } => isArray(file))
  const scenes = scenesOf(
    files.filter((file) => !isArray(file)),
    bands,
  )
  const series = frames === 1 ? scenes.map((scene) => [scene]) : seriesOf(scenes, notes)
  const made: NamedSample[] = series.map((dates) => {
    const whole = dates.find(({ isBroken }) => !isBroken) ?? dates[0]!
    return {
      name: frames === 1 ? whole.name : nameOfSeries(dates),
      place: nameOfSeries(dates),
      frames: dates.map(({ time, bands: places }) => ({ time, bands: places })),
      ...{ width: whole.width, height: whole.height, metresPerPixel: whole.grid?.metresPerPixel ?? null },
    }
  })
  made.sort((a, b) => compare(a.name, b.name))
  const ofArrays = arrays
    .toSorted((a, b) => compare(a.path.file, b.path.file))
    .flatMap((file) => samplesOfArray(file, { bands, frames }))
    .map((sample) => ({ ...sample, place: sample.name, metresPerPixel: null }))
  return [...made, ...ofArrays]
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Includes the folder common to all its files, so that first-level folders are classes. */
function nameOfSeries(scenes: readonly Scene[]): string {
  const { series } = scenes[0]!
  const folders = new Set(
    scenes.flatMap(({ files }) => files.map((file) => file.slice(0, file.lastIndexOf('/') + 1))),
  )
  const [folder] = folders
  return folders.size === 1 && !series.startsWith(folder!) ? folder! + series : series
}

function checkUsable(
  root: string,
  samples: readonly NamedSample[],
  { problems, window }: Pick<Probed, 'problems'> & { window: number | null },
): void {
  const why = ({ name, frames, width, height }: NamedSample): string | null => {
    const broken = frames.flatMap(({ bands }) => bands).find(({ file }) => problems.has(file))
    if (broken && (frames.length === 1 || width === 0))
      return `${broken.file === name ? '' : `${broken.file}: `}${problems.get(broken.file)}`
    return window !== null && Math.min(width, height) < window
      ? `${width} x ${height} pixels are less than a window of ${window} x ${window}`
      : null
  }
  if (samples.some((sample) => why(sample) === null)) return
  const [first] = samples
  throw new SherdError(
    'SOURCE',
    first
      ? `None of the ${samples.length} scenes in ${root} can be used. The first, ${first.name}: ${why(first)}`
      : `No band that is asked for was found in ${root}.`,
  )
}

function checkOptions({ bands, bandNames, frames, window }: RasterOptions): void {
  const expect = (isRight: boolean, name: keyof RasterOptions, expected: string, got: unknown) => {
    if (!isRight)
      throw new SherdError(
        'VALUE',
        `openRasterFolder: expected ${name} to be ${expected}, got ${String(got)}.`,
      )
  }
  const isWhole = (value: number) => Number.isSafeInteger(value) && value >= 1
  const isDistinct = (names: readonly string[]) => new Set(names.map(canonicalBand)).size === names.length
  expect(
    bands.length > 0 && isDistinct(bands),
    'bands',
    'names of bands, each once',
    bands.join(', ') || 'none',
  )
  expect(
    bandNames === null || isDistinct(bandNames),
    'bandNames',
    'names of bands, each once',
    bandNames?.join(', '),
  )
  expect(isWhole(frames), 'frames', 'a whole number of at least 1', frames)
  expect(window === null || isWhole(window), 'window', 'a whole number of at least 1, or null', window)
}
