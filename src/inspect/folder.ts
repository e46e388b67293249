/** Folders of images, of images with masks, and of rasters: what is in them, and what training would leave out and why. */
import { extname, join, resolve } from 'node:path'
import { SherdError } from '../errors.ts'
import { naturalOrder } from '../files/natural-order.ts'
import { quoted } from '../files/shell.ts'
import { coreCount } from '../machine/hardware.ts'
import type { ImageFormat } from '../prepare/decode/image-format.ts'
import { classesOf } from '../source/classes.ts'
import { imageExtensions, openImageFolder } from '../source/image-folder.ts'
import { listFiles } from '../source/list-files.ts'
import { openMaskedFolder } from '../source/masked-folder.ts'
import { openRasterFolder } from '../source/raster/raster-folder.ts'
import { rasterExtensions } from '../source/raster/raster-formats.ts'
import { type PathFacts, pathReader } from '../source/raster/raster-path.ts'
import { classRows, countsOf } from './classes.ts'
import { formatNames } from './image.ts'
import {
  countOf,
  type Description,
  describe,
  grouped,
  type InspectOptions,
  listed,
  type Row,
  reasonFrom,
  rowsOf,
  sized,
} from './inspected.ts'
import { describePicture, type Picture } from './picture.ts'
import { dayOf } from './raster.ts'

/** Counts by name, commonest first. */
class Tally {
  readonly #counts = new Map<string, number>()
  add(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }
  get all(): [string, number][] {
    return [...this.#counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
  }
  row(label: string): Row | null {
    const [first, ...others] = this.all
    if (!first) return null
    const counts = this.all.map(([name, count]) => `${name} ${grouped(count)}`)
    return [label, others.length === 0 ? first[0] : listed(counts)]
  }
}

/** Numbers in a reason differ from file to file. */
const kindOf = (reason: string) => reason.replaceAll(/\d[\d.,]*/g, '#')

class Reasons {
  readonly #found = new Map<string, { count: number; readonly first: string; readonly reason: string }>()
  add(first: string, reason: string): void {
    const known = this.#found.get(kindOf(reason))
    if (known) known.count++
    else this.#found.set(kindOf(reason), { count: 1, first, reason })
  }
  get list() {
    return [...this.#found.values()].sort((a, b) => b.count - a.count)
  }
  get count(): number {
    return this.list.reduce((sum, { count }) => sum + count, 0)
  }
  get rows(): Row[] {
    return this.list.map(({ count, first, reason }, i) => [
      i === 0 ? 'left out' : '',
      count === 1 ? `${first}: ${reason}` : `${grouped(count)} files, such as ${first}: ${reason}`,
    ])
  }
}

/** Looks at files, some at once, and takes what is found in their order. Stops early when the signal is aborted. */
async function forEach<T>(
  files: readonly string[],
  { onProgress, signal }: InspectOptions,
  { look, take }: { look: (file: string) => Promise<T>; take: (found: T, file: string) => void },
): Promise<number> {
  let [next, done, taken] = [0, 0, 0]
  const waiting = new Map<number, T>()
  const work = async () => {
    while (next < files.length && !signal?.aborted) {
      const own = next++
      waiting.set(own, await look(files[own]!))
      onProgress?.(++done, files.length)
      for (; waiting.has(taken); taken++) {
        take(waiting.get(taken)!, files[taken]!)
        waiting.delete(taken)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(files.length, coreCount()) }, work))
  return done
}

interface SizeCount {
  readonly width: number
  readonly height: number
  count: number
}

/** Sizes, least and largest by their pixels, and the one in the middle. */
function sizesRow(counts: ReadonlyMap<string, SizeCount>): Row | null {
  const sizes = [...counts.values()].sort((a, b) => a.width * a.height - b.width * b.height)
  if (sizes.length === 0) return null
  const all = sizes.reduce((sum, { count }) => sum + count, 0)
  let before = 0
  const middle = sizes.findIndex(({ count }) => {
    before += count
    return before > (all - 1) / 2
  })
  const [first, half, last] = [0, middle, -1].map((i) => sizes.at(i)!).map((s) => sized(s.width, s.height))
  return [
    'sizes',
    sizes.length === 1 ? `all ${first} pixels` : `${first} to ${last} pixels, half of them up to ${half}`,
  ]
}

const channelsOf = ({ colours, alpha, bits }: Picture['facts']): string =>
  `${colours}${alpha ? ' with alpha' : ''}${bits === 16 ? ', 16 bits' : ''}`

/** Files of pictures below `dir`, which `files` are. */
async function surveyed(dir: string, files: readonly string[], options: InspectOptions) {
  const [formats, channels, reasons, notes] = [new Tally(), new Tally(), new Reasons(), new Reasons()]
  const sizes = new Map<string, SizeCount>()
  const pictures: Picture[] = []
  const look = (file: string) => describePicture(join(dir, file), options)
  const take = (picture: Picture, file: string) => {
    const { what, reason, facts } = picture
    options.onFile?.({ path: join(dir, file), usable: reason === null, ...picture })
    if (what === 'raster' && reason === null) pictures.push({ ...picture, rows: [] })
    if (reason !== null) {
      reasons.add(file, reason)
      return
    }
    for (const note of picture.notes) notes.add(file, note)
    formats.add(formatNames[facts.format as ImageFormat] ?? 'raster')
    if (what === 'image') channels.add(channelsOf(facts))
    const { width, height } = facts as unknown as SizeCount
    const known = sizes.get(`${width} ${height}`)
    if (known) known.count++
    else sizes.set(`${width} ${height}`, { width, height, count: 1 })
  }
  const seen = await forEach(files.toSorted(naturalOrder), options, { look, take })
  if (options.signal?.aborted)
    throw new SherdError('INTERRUPTED', `Stopped after ${grouped(seen)} of ${grouped(files.length)} files.`)
  return { formats, channels, reasons, notes, sizes, pictures }
}

type Survey = Awaited<ReturnType<typeof surveyed>>

const notesOf = ({ notes }: Survey): string[] =>
  notes.list.map(
    ({ count, first, reason }) => `${first}${count > 1 ? ` and ${grouped(count - 1)} more` : ''}: ${reason}`,
  )

const reasonOf = ({ reasons }: Survey, files: number, unit = 'file'): string | null =>
  reasons.count === 0 ? null : `${grouped(reasons.count)} of ${countOf(files, unit)} would be left out`
const usableOf = ({ reasons }: Survey, files: number): string =>
  `${grouped(files - reasons.count)} of ${countOf(files, 'file')}`

const factsOf = ({ formats, channels, reasons, sizes }: Survey, files: number) => ({
  ...{ files, usable: files - reasons.count },
  ...{ formats: Object.fromEntries(formats.all), channels: Object.fromEntries(channels.all) },
  sizes: [...sizes.values()].slice(0, 100),
  leftOut: reasons.list,
})

/** Of a folder of images, or of images with masks; a fault of the whole folder is a reason. */
const describing =
  (title: string, of: (path: string, options: InspectOptions) => Promise<Parameters<typeof describe>[1]>) =>
  async (path: string, options: InspectOptions): Promise<Description> => {
    try {
      return describe(title, await of(path, options))
    } catch (error) {
      if (error instanceof SherdError && error.code === 'INTERRUPTED') throw error
      return describe(title, { reason: reasonFrom(error) })
    }
  }

export const describeImages = describing('folder of images', async (path, options) => {
  const { dir, files, classes, labels, notes = [] } = await openImageFolder(path)
  const survey = await surveyed(dir, files, options)
  const { formats, sizes, channels, reasons } = survey
  return {
    reason: reasonOf(survey, files.length),
    rows: rowsOf(
      ['images', usableOf(survey, files.length)],
      ...[formats.row('formats'), sizesRow(sizes), channels.row('channels')],
      ...[...classRows(classes, labels), ...reasons.rows],
    ),
    facts: { ...factsOf(survey, files.length), classes: countsOf(classes, labels) },
    notes: [...notes, ...notesOf(survey)],
    next: [
      ...(reasons.count < files.length ? [`sherd pretrain --data ${quoted(path)} --out runs/mine`] : []),
      ...(classes.length > 1
        ? [`sherd evaluate linear --model MODEL --data ${quoted(path)} --out reports/linear`]
        : []),
    ],
  }
})

export const describeMasked = describing('folder of images with masks', async (path, options) => {
  const { images, masks, classes } = await openMaskedFolder(path)
  const { dir, files } = images
  const survey = await surveyed(dir, files, options)
  const { formats, sizes, channels, reasons } = survey
  const endings = [...new Set(masks.map((mask) => extname(mask)))].join(', ')
  return {
    reason: reasonOf(survey, files.length, 'image'),
    rows: rowsOf(
      ['images', `${usableOf(survey, files.length)}, each with a mask (${endings})`],
      ...[formats.row('formats'), sizesRow(sizes), channels.row('channels')],
      [
        'classes',
        classes
          ? `${classes.length}, of classes.txt: ${listed(classes)}`
          : 'not named: there is no classes.txt',
      ],
      ...reasons.rows,
    ),
    facts: { ...factsOf(survey, files.length), masks: masks.length, classes },
    notes: notesOf(survey),
    next: [`sherd evaluate segment --model MODEL --data ${quoted(path)} --out reports/segment`],
  }
})

const kind = {
  name: 'images or rasters',
  extensions: [...new Set([...imageExtensions, ...rasterExtensions])],
}
const isOfRasters = (file: string) => rasterExtensions.includes(extname(file).toLowerCase())

/** Whether all pictures in and below a folder are rasters, by the first of them. */
export async function hasRasters(path: string): Promise<boolean> {
  const { files } = await listFiles(resolve(path), kind).catch(() => ({ files: [] as string[] }))
  if (files.length === 0 || !files.every(isOfRasters)) return false
  const { what } = await describePicture(join(path, files[0]!), { limits: {} })
  return what === 'raster'
}

/** The bands of a folder by name, as the files or their names say them. */
function bandsIn(paths: readonly PathFacts[], pictures: readonly Picture[]) {
  const own = (picture: Picture | undefined) =>
    (picture?.facts.bands ?? []) as readonly { name: string | null }[]
  const singles = paths.flatMap(({ band }) => band ?? [])
  const named = own(pictures[0]).flatMap(({ name }) => name ?? [])
  if (own(pictures[0]).length === 1 && singles.length > 0)
    return { bands: [...new Set(singles)].sort(), bandNames: null }
  if (named.length > 0 && named.length === own(pictures[0]).length) return { bands: named, bandNames: null }
  const made = own(pictures[0]).map((_, i) => `b${i + 1}`)
  return { bands: made, bandNames: made }
}

export async function describeRasters(path: string, options: InspectOptions): Promise<Description> {
  const dir = resolve(path)
  const { files } = await listFiles(dir, kind)
  const survey = await surveyed(dir, files, options)
  const { pictures, reasons } = survey
  const read = pathReader(null, [])
  const paths = files.map((file) => read(file)!)
  const { bands, bandNames } = bandsIn(paths, pictures)
  const series = new Map<string, Set<number>>()
  for (const { time, single, several } of paths)
    if (time !== null) {
      const key = bands.length === 1 || bandNames || pictures[0]?.facts.bands ? several.series : single.series
      series.set(key, (series.get(key) ?? new Set()).add(time))
    }
  const frames = Math.max(1, ...[...series.values()].map((dates) => dates.size))
  const times = pictures
    .flatMap(({ facts }) => (facts.dates as string[]).map((date) => Date.parse(date)))
    .sort((a, b) => a - b)
  const places = new Tally()
  for (const { facts } of pictures) {
    const metres = facts.metresPerPixel as number | null
    const size = metres === null ? 'unknown size' : `${Number(metres.toPrecision(4))} m a pixel`
    places.add(`${facts.crs ?? 'no system'}, ${size}`)
  }
  const asked = { bands, bandNames, frames, pattern: null, window: null, nodata: null }
  const { folder, why } = await openRasterFolder(dir, asked).then(
    (folder) => ({ folder, why: null }),
    (error: unknown) => ({ folder: null, why: reasonFrom(error) }),
  )
  const { classes, labels } = folder ?? classesOf(files)
  const dates = frames > 1 ? ` of up to ${frames} dates` : ''
  const keys = [
    `data.bands=${JSON.stringify(bands)}`,
    ...(bandNames ? [`data.bandNames=${JSON.stringify(bandNames)}`] : []),
  ]
  return describe('folder of rasters', {
    reason: why ?? reasonOf(survey, files.length),
    rows: rowsOf(
      [
        'rasters',
        `${usableOf(survey, files.length)}${folder ? `: ${countOf(folder.files.length, 'sample')}${dates}` : ''}`,
      ],
      sizesRow(survey.sizes),
      [
        'bands',
        `${bands.length}: ${listed(bands, 16)}${bandNames ? ' (numbered here: the files have no names)' : ''}`,
      ],
      times.length > 0 && ['dates', [...new Set([times[0]!, times.at(-1)!])].map(dayOf).join(' to ')],
      places.row('places'),
      ...(folder ? classRows(classes, labels) : []),
      ...reasons.rows,
    ),
    facts: {
      ...factsOf(survey, files.length),
      ...{ bands, frames, samples: folder?.files.length ?? 0, classes: countsOf(classes, labels) },
      dates: times.map((time) => new Date(time).toISOString()),
    },
    notes: [...(folder?.notes ?? []), ...notesOf(survey)],
    next: folder
      ? [
          `sherd pretrain --data ${quoted(path)} --out runs/mine${keys.map((key) => ` --set ${quoted(key)}`).join('')}${frames > 1 ? ` --set model.frames=${frames}` : ''}`,
        ]
      : [],
  })
}
