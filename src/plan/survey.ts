/**
 * What a folder of images is like: sizes, colours, formats, labels, files that training would skip, near duplicates. Of a large folder a sample
 * is looked at, in runs of neighbours, since copies and frames of one scene mostly have neighbouring names.
 */
import { open } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { SherdError } from '../errors.ts'
import { configureDecoder, defaultMaxPixels } from '../prepare/decode/decode.ts'
import { formatOf } from '../prepare/decode/image-format.ts'
import { openReader } from '../prepare/open-reader.ts'
import { draws } from '../random/draws.ts'
import type { Size } from '../source/box.ts'
import type { ImageSource } from '../source/open.ts'
import { BLANK, type Look, lookAt, nearDuplicates, THUMBNAIL } from './image-hash.ts'

export interface Quantiles {
  readonly least: number
  readonly tenth: number
  readonly median: number
  readonly ninetieth: number
  readonly most: number
}

/** What is known of a folder of whatever kind. */
export interface FolderSurvey {
  /** Absolute. */
  readonly dir: string
  /** How many of its files were looked at. */
  readonly looked: number
  /** Of the shorter side, in pixels, after orientation. */
  readonly shortSide: Quantiles
  /** The commonest sizes, most first. */
  readonly sizes: readonly { readonly width: number; readonly height: number; readonly count: number }[]
  readonly otherSizes: number
  /** Files of those looked at, most first. */
  readonly formats: readonly { readonly format: string; readonly count: number }[]
  /** Those looked at that training would skip, with the reasons. */
  readonly broken: readonly Broken[]
  readonly classes: number
  readonly leastOfClass: number
  readonly mostOfClass: number
}

interface Broken {
  readonly file: string
  readonly reason: string
}

export interface Survey extends FolderSurvey {
  readonly kind: 'images' | 'packed'
  readonly images: number
  readonly grey: number
  readonly blank: number
  /** Those that nearly are another one that was looked at. */
  readonly nearDuplicates: number
  readonly duplicateExample: readonly [string, string] | null
  /** Means over the images: of their mean luma, and of its deviation. */
  readonly brightness: number
  readonly contrast: number
  /** That looking took. */
  readonly seconds: number
}

export interface SurveyOptions {
  /** At most so many images are looked at; 3,000. */
  readonly most?: number | undefined
  /** Looking ends after so many seconds, but not before a hundred images; 20. */
  readonly seconds?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number, of: number) => void) | undefined
}

const MOST = 3000
const SECONDS = 20
const FEWEST = 100
/** Neighbours that are looked at together. */
const RUN = 10
const SIZES_LISTED = 3

/** The value that a share of the numbers does not exceed. */
export function quantilesOf(numbers: readonly number[]): Quantiles {
  const sorted = [...numbers].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
  return { least: at(0), tenth: at(0.1), median: at(0.5), ninetieth: at(0.9), most: at(1) }
}

/** Most first; of equal ones the first that came. */
export function counted<T>(values: readonly T[], nameOf: (value: T) => string = String): [T, number][] {
  const counts = new Map<string, [T, number]>()
  for (const value of values) {
    const row = counts.get(nameOf(value))
    if (row) row[1]++
    else counts.set(nameOf(value), [value, 1])
  }
  return [...counts.values()].sort((a, b) => b[1] - a[1])
}

interface Seen extends Pick<FolderSurvey, 'dir' | 'looked'> {
  readonly sizes: readonly Size[]
  readonly formats: readonly string[]
  readonly broken: readonly Broken[]
  readonly classes: readonly string[]
  readonly labels: Int32Array | null
}

/** Throws `SOURCE` when nothing that was looked at can be used. */
export function folderSurvey({ dir, looked, broken, ...seen }: Seen, unit: string): FolderSurvey {
  if (seen.sizes.length === 0) {
    const [[reason, count] = ['', 0]] = counted(broken.map((each) => each.reason))
    throw new SherdError(
      'SOURCE',
      `None of the ${broken.length} ${unit} of ${dir} that were looked at can be used. ${count} of them, such as ${broken.find((each) => each.reason === reason)?.file}: ${reason}`,
    )
  }
  const bySize = counted(seen.sizes, ({ width, height }) => `${width} x ${height}`)
  const listed = bySize.slice(0, SIZES_LISTED)
  const perClass = counted([...(seen.labels ?? [])]).map(([, count]) => count)
  return {
    ...{ dir, looked, broken: broken.toSorted((a, b) => (a.file < b.file ? -1 : 1)) },
    shortSide: quantilesOf(seen.sizes.map(({ width, height }) => Math.min(width, height))),
    sizes: listed.map(([{ width, height }, count]) => ({ width, height, count })),
    otherSizes: bySize.slice(SIZES_LISTED).reduce((all, [, count]) => all + count, 0),
    formats: counted(seen.formats).map(([format, count]) => ({ format, count })),
    classes: seen.classes.length,
    ...{ leastOfClass: perClass.at(-1) ?? 0, mostOfClass: perClass[0] ?? 0 },
  }
}

/** The indices that are looked at, in an order in which any beginning is spread over the folder. */
export function sampleOf(images: number, most: number): number[] {
  if (images <= most) return [...Array(images).keys()]
  const runs = Math.ceil(most / RUN)
  const order = draws({ seed: 0, stream: 'survey', epoch: 0, index: 0 }).permutation(runs)
  return [...order].flatMap((run) => {
    const first = Math.floor((run * (images - RUN)) / Math.max(1, runs - 1))
    return Array.from({ length: RUN }, (_, i) => first + i)
  })
}

/** Throws `SOURCE` when no image that was looked at can be used, `INTERRUPTED`. */
export async function surveyImages(source: ImageSource, options: SurveyOptions = {}): Promise<Survey> {
  if (source.kind === 'rasters') throw new SherdError('BUG', 'Bug: surveyImages was given rasters')
  const { most = MOST, seconds = SECONDS, signal, onProgress } = options
  const { files } = source
  const sample = sampleOf(files.length, most)
  const seen: { index: number; look: Look; width: number; height: number; format: string }[] = []
  const broken: Broken[] = []
  configureDecoder()
  const reader = openReader(source, availableParallelism())
  const { width, height } = THUMBNAIL
  const started = performance.now()
  const elapsed = () => (performance.now() - started) / 1000
  let next = 0
  let done = 0
  const lookInTurn = async () => {
    const out = new Uint8Array(3 * width * height)
    while (next < sample.length && !signal?.aborted && (elapsed() < seconds || done < FEWEST)) {
      const index = sample[next++]!
      let size = { width: 0, height: 0 }
      const place = (image: { width: number; height: number }) => {
        size = { width: image.width, height: image.height }
        return { box: { left: 0, top: 0, ...size }, flip: false }
      }
      const limits = { minSide: 1, maxPixels: defaultMaxPixels }
      const [reason] = await reader.read([{ index, row: 0, place }], {
        ...{ target: { width, height }, channels: 3, out, ...limits },
      })
      done++
      const file = files[index]!
      if (reason == null) {
        const format = source.kind === 'packed' ? 'packed' : await formatOfFile(join(source.dir, file))
        seen.push({ index, look: lookAt(out), ...size, format })
      } else broken.push({ file, reason })
      onProgress?.(done, sample.length)
    }
  }
  await Promise.all(Array.from({ length: reader.atOnce }, lookInTurn)).finally(reader.close)
  if (signal?.aborted) throw new SherdError('INTERRUPTED', 'Stopped while looking at the images.')
  if (done < sample.length) onProgress?.(done, done)
  seen.sort((a, b) => a.index - b.index) // in whatever order they came
  const looks = seen.map(({ look }) => look)
  const like = nearDuplicates(looks)
  const example = like.findIndex((first) => first >= 0)
  const mean = (of: (look: Look) => number) => looks.reduce((all, look) => all + of(look), 0) / looks.length
  const { dir, classes, labels } = source
  const formats = seen.map(({ format }) => format)
  return {
    ...folderSurvey({ dir, looked: done, sizes: seen, formats, broken, classes, labels }, 'images'),
    ...{ kind: source.kind, images: files.length, seconds: elapsed() },
    grey: looks.filter(({ isGrey }) => isGrey).length,
    blank: looks.filter(({ contrast }) => contrast < BLANK).length,
    nearDuplicates: like.filter((first) => first >= 0).length,
    duplicateExample:
      example < 0 ? null : [files[seen[like[example]!]!.index]!, files[seen[example]!.index]!],
    ...{ brightness: mean((look) => look.brightness), contrast: mean((look) => look.contrast) },
  }
}

const HEADER = 16

async function formatOfFile(path: string): Promise<string> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(HEADER), 0, HEADER, 0)
    return formatOf(buffer.subarray(0, bytesRead)) ?? 'unknown'
  } finally {
    await file.close()
  }
}

/** Images that differ, as far as a sample tells. */
export const distinctImages = ({ images, looked, nearDuplicates, broken }: Survey): number =>
  Math.max(1, Math.round(images * (1 - (nearDuplicates + broken.length) / Math.max(1, looked))))
