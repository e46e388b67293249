/** What a folder of rasters is like, from headers and names alone: sizes, bands, dates, files that cannot be read; and the keys that say so. */
import { extname, join, resolve } from 'node:path'
import { messageOf } from '../errors.ts'
import { classesOf } from '../source/classes.ts'
import { listFiles } from '../source/list-files.ts'
import { canonicalBand } from '../source/raster/band-names.ts'
import { blockCache } from '../source/raster/block-cache.ts'
import type { RasterContent } from '../source/raster/raster-file.ts'
import { openRasterFile, rasterExtensions } from '../source/raster/raster-formats.ts'
import { pathReader } from '../source/raster/raster-path.ts'
import { type FolderSurvey, folderSurvey, quantilesOf, sampleOf } from './survey.ts'

export interface RasterSurvey extends FolderSurvey {
  readonly kind: 'rasters'
  readonly files: number
  /** Of the files that have the most; by number where files do not name them. */
  readonly bands: readonly string[]
  readonly areBandsNamed: boolean
  /** Different dates, the first and the last as 2021-04-30; 0 where names and files have none. */
  readonly dates: { readonly count: number; readonly first: string | null; readonly last: string | null }
  readonly metresPerPixel: number | null
}

const MOST = 300
const NUMPY = ['.npy', '.npz']
const TIFF = ['.tif', '.tiff']
/** Bands of a photograph: grey, colour, colour and alpha. */
const OF_PHOTOS = [1, 3, 4]

const kind = { name: 'rasters', extensions: rasterExtensions }

async function contentOf(path: string): Promise<RasterContent> {
  const file = await openRasterFile({ path, blocks: blockCache(0, () => 0) })
  try {
    return await file.describe(1)
  } finally {
    await file.close()
  }
}

const PROBED = 8

/** Whether a folder holds rasters with bands rather than pictures. Throws `SOURCE` for what cannot be listed. */
export async function isRasterFolder(dir: string): Promise<boolean> {
  const { files, others } = await listFiles(resolve(dir), kind)
  if (files.some((file) => NUMPY.includes(extname(file).toLowerCase()))) return true
  const tiffs = files.filter((file) => TIFF.includes(extname(file).toLowerCase()))
  const pictures = others.filter((file) => /\.(jpe?g|png|webp|avif|gif|bmp)$/i.test(file))
  if (tiffs.length === 0 || pictures.length > tiffs.length) return false
  const read = pathReader(null, [])
  for (let i = 0; i < Math.min(PROBED, tiffs.length); i++) {
    const file = tiffs[Math.floor((i * tiffs.length) / Math.min(PROBED, tiffs.length))]!
    const content = await contentOf(join(dir, file)).catch(() => null)
    if (!content) continue
    const bands = content.layers.filter(({ isAlpha }) => !isAlpha)
    const isSingleBand = bands.length === 1 && read(file)?.band != null
    if (isSingleBand || !OF_PHOTOS.includes(bands.length) || bands.some(({ isNamed }) => isNamed)) return true
  }
  return false
}

/** Throws `SOURCE` when no file can be read. */
export async function surveyRasters(dir: string, most = MOST): Promise<RasterSurvey> {
  const root = resolve(dir)
  const { files } = await listFiles(root, kind)
  const read = pathReader(null, [])
  const paths = files.map((file) => read(file)!)
  const sample = sampleOf(files.length, most).map((i) => paths[i]!)
  const broken: { file: string; reason: string }[] = []
  const sizes: { width: number; height: number }[] = []
  const metres: number[] = []
  const times = new Set<number>()
  let named: string[] = []
  let unnamed = 0
  for (const path of sample) {
    let content: RasterContent
    try {
      content = await contentOf(join(root, path.file))
    } catch (error) {
      broken.push({ file: path.file, reason: messageOf(error) })
      continue
    }
    const bands = content.layers.filter(({ isAlpha }) => !isAlpha)
    sizes.push({
      width: Math.max(...bands.map(({ width }) => width)),
      height: Math.max(...bands.map(({ height }) => height)),
    })
    if (content.grid?.metresPerPixel) metres.push(content.grid.metresPerPixel)
    const time = path.time ?? content.timeOf(0, 0)
    if (time !== null) times.add(time)
    if (bands.length === 1 && path.band !== null) named = merged(named, [path.band])
    else if (bands.every(({ isNamed }) => isNamed))
      named = merged(
        named,
        bands.map(({ name }) => name!),
      )
    else unnamed = Math.max(unnamed, bands.length)
  }
  const formats = sample.map(({ file }) => extname(file).slice(1).toLowerCase())
  const areBandsNamed = named.length > 0
  const days = [...times].sort((a, b) => a - b).map((time) => new Date(time).toISOString().slice(0, 10))
  const seen = { dir: root, looked: sample.length, sizes, formats, broken, ...classesOf(files) }
  return {
    ...folderSurvey(seen, 'rasters'),
    ...{ kind: 'rasters', files: files.length },
    bands: areBandsNamed ? named : Array.from({ length: unnamed }, (_, i) => `band${i + 1}`),
    areBandsNamed,
    dates: { count: days.length, first: days[0] ?? null, last: days.at(-1) ?? null },
    metresPerPixel: metres.length > 0 ? quantilesOf(metres).median : null,
  }
}

/** Names that are not there yet, whatever their spelling. */
function merged(names: readonly string[], more: readonly string[]): string[] {
  const known = new Set(names.map(canonicalBand))
  return [...names, ...more.filter((name) => !known.has(canonicalBand(name)))]
}

/** Windows of a scene that is this many times larger than they are. */
const MUCH_LARGER = 2

/** What says to a configuration how these rasters are to be read. `usual`: the bands of the presets. */
export function rasterKeys(
  { bands, areBandsNamed, shortSide }: RasterSurvey,
  { usual, imageSize }: { usual: readonly string[]; imageSize: number },
): string[] {
  const names = new Set(bands.map(canonicalBand))
  const hasAll = areBandsNamed && usual.every((band) => names.has(canonicalBand(band)))
  return [
    ...(hasAll ? [] : [`data.bands=${JSON.stringify(bands)}`, 'model.groups=null']),
    ...(areBandsNamed ? [] : [`data.bandNames=${JSON.stringify(bands)}`]),
    ...(shortSide.median >= MUCH_LARGER * imageSize ? [`data.window=${imageSize}`] : []),
  ]
}
