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
  grouped,
  type InspectOptions,
  listed,
  reasonFrom,
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
  get names(): string {
    return this.all.length === 1
      ? this.all[0]![0]
      : listed(this.all.map(([name, count]) => `${name} ${grouped(count)}`))
  }
  get facts(): Record<string, number> {
    return Object.fromEntries(this.all)
  }
}

interface Reason {
  count: number
  readonly first: string
}

/** Numbers in a reason differ from file to file. */
const kindOf = (reason: string) => reason.replaceAll(/\d[\d.,]*/g, '#')

class Reasons {
  readonly #found = new Map<string, Reason & { readonly text: string }>()
  add(file: string, reason: string): void {
    const known = this.#found.get(kindOf(reason))
    if (known) known.count++
    else this.#found.set(kindOf(reason), { count: 1, first: file, text: reason })
  }
  get list() {
    return [...this.#found.values()].sort((a, b) => b.count - a.count)
  }
  get count(): number {
    return this.list.reduce((sum, { count }) => sum + count, 0)
  }
  get rows(): Description['rows'] {
    return this.list.map(({ count, first, text }, i) => [
      i === 0 ? 'left out' : '',
      count === 1 ? `${first}: ${text}` : `${grouped(count)} files, such as ${first}: ${text}`,
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

const failed = (title: string, error: unknown): Description => ({
  ...{ title, reason: reasonFrom(error), rows: [], facts: {}, notes: [], next: [] },
})

/** Sizes, least and largest by their pixels, and the one in the middle. */
function sizesOf(tally: Map<string, { readonly size: readonly [number, number]; count: number }>): string {
  const sizes = [...tally.values()].sort((a, b) => a.size[0] * a.size[1] - b.size[0] * b.size[1])
  const all = sizes.reduce((sum, { count }) => sum + count, 0)
  let before = 0
  const middle = sizes.find(({ count }) => {
    before += count
    return before > (all - 1) / 2
  })
  const [first, last] = [sizes[0]!, sizes.at(-1)!]
  if (sizes.length === 1) return `all ${sized(...first.size)} pixels`
  return `${sized(...first.size)} to ${sized(...last.size)} pixels, half of them up to ${sized(...middle!.size)}`
}

const channelsOf = ({ colours, alpha, bits }: Picture['facts']): string =>
  `${colours}${alpha ? ' with alpha' : ''}${bits === 16 ? ', 16 bits' : ''}`

/** Files of pictures below `dir`, which `files` are. */
async function surveyed(dir: string, files: readonly string[], options: InspectOptions) {
  const [formats, channels, reasons, notes] = [new Tally(), new Tally(), new Reasons(), new Reasons()]
  const sizes = new Map<string, { readonly size: readonly [number, number]; count: number }>()
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
    const size = [facts.width as number, facts.height as number] as const
    const known = sizes.get(size.join())
    if (known) known.count++
    else sizes.set(size.join(), { size, count: 1 })
  }
  const seen = await forEach(files.toSorted(naturalOrder), options, { look, take })
  if (options.signal?.aborted)
    throw new SherdError('INTERRUPTED', `Stopped after ${grouped(seen)} of ${grouped(files.length)} files.`)
  return { formats, channels, reasons, notes, sizes, pictures }
}

type Survey = Awaited<ReturnType<typeof surveyed>>

const rowsOf = ({ formats, channels, sizes }: Survey): Description['rows'] => [
  ...(formats.all.length > 0 ? [['formats', formats.names] as const] : []),
  ...(sizes.size > 0 ? [['sizes', sizesOf(sizes)] as const] : []),
  ...(channels.all.length > 0 ? [['channels', channels.names] as const] : []),
]

const notesOf = ({ notes }: Survey): string[] =>
  notes.list.map(
    ({ count, first, text }) => `${first}${count > 1 ? ` and ${grouped(count - 1)} more` : ''}: ${text}`,
  )

const factsOf = ({ formats, channels, reasons, sizes }: Survey, files: number) => ({
  ...{ files, usable: files - reasons.count, formats: formats.facts, channels: channels.facts },
  sizes: [...sizes.values()]
    .map(({ size, count }) => ({ width: size[0], height: size[1], count }))
    .slice(0, 100),
  leftOut: reasons.list.map(({ count, first, text }) => ({ count, first, reason: text })),
})

export async function describeImages(path: string, options: InspectOptions): Promise<Description> {
  const title = 'folder of images'
  try {
    const { dir, files, classes, labels, notes = [] } = await openImageFolder(path)
    const survey = await surveyed(dir, files, options)
    const { count } = survey.reasons
    return {
      title,
      reason: count === 0 ? null : `${grouped(count)} of ${countOf(files.length, 'file')} would be left out`,
      rows: [
        ['images', `${grouped(files.length - count)} of ${countOf(files.length, 'file')}`],
        ...rowsOf(survey),
        ...classRows(classes, labels),
        ...survey.reasons.rows,
      ],
      facts: { ...factsOf(survey, files.length), classes: countsOf(classes, labels) },
      notes: [...notes, ...notesOf(survey)],
      next: [
        ...(count < files.length ? [`sherd pretrain --data ${quoted(path)} --out runs/mine`] : []),
        ...(classes.length > 1
          ? [`sherd evaluate linear --model MODEL --data ${quoted(path)} --out reports/linear`]
          : []),
      ],
    }
  } catch (error) {
    if (error instanceof SherdError && error.code === 'INTERRUPTED') throw error
    return failed(title, error)
  }
}

export async function describeMasked(path: string, options: InspectOptions): Promise<Description> {
  const title = 'folder of images with masks'
  try {
    const { images, masks, classes } = await openMaskedFolder(path)
    const survey = await surveyed(images.dir, images.files, options)
    const { count } = survey.reasons
    return {
      title,
      reason:
        count === 0
          ? null
          : `${grouped(count)} of ${countOf(images.files.length, 'image')} would be left out`,
      rows: [
        [
          'images',
          `${grouped(images.files.length - count)} of ${countOf(images.files.length, 'file')}, each with a mask (${[...new Set(masks.map((mask) => extname(mask)))].join(', ')})`,
        ],
        ...rowsOf(survey),
        [
          'classes',
          classes
            ? `${classes.length}, of classes.txt: ${listed(classes)}`
            : 'not named: there is no classes.txt',
        ],
        ...survey.reasons.rows,
      ],
      facts: { ...factsOf(survey, images.files.length), masks: masks.length, classes },
      notes: notesOf(survey),
      next: [`sherd evaluate segment --model MODEL --data ${quoted(path)} --out reports/segment`],
    }
  } catch (error) {
    if (error instanceof SherdError && error.code === 'INTERRUPTED') throw error
    return failed(title, error)
  }
}

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
  const title = 'folder of rasters'
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
  for (const { facts } of pictures)
    places.add(
      `${facts.crs ?? 'no system'}, ${facts.metresPerPixel === null ? 'unknown size' : `${Number((facts.metresPerPixel as number).toPrecision(4))} m a pixel`}`,
    )
  const sets = bandNames ? [`--set ${quoted(`data.bandNames=${JSON.stringify(bandNames)}`)}`] : []
  const opened = await openRasterFolder(dir, {
    bands,
    bandNames,
    pattern: null,
    frames,
    window: null,
    nodata: null,
  }).then(
    (folder) => ({ folder, why: null }),
    (error: unknown) => ({ folder: null, why: reasonFrom(error) }),
  )
  const { folder, why } = opened
  return {
    title,
    reason:
      why ??
      (reasons.count === 0
        ? null
        : `${grouped(reasons.count)} of ${countOf(files.length, 'file')} would be left out`),
    rows: [
      [
        'rasters',
        `${grouped(files.length - reasons.count)} of ${countOf(files.length, 'file')}${folder ? `: ${countOf(folder.files.length, 'sample')}${frames > 1 ? ` of up to ${frames} dates` : ''}` : ''}`,
      ],
      ...(survey.sizes.size > 0 ? [['sizes', sizesOf(survey.sizes)] as const] : []),
      [
        'bands',
        `${bands.length}: ${listed(bands, 16)}${bandNames ? ' (numbered here: the files have no names)' : ''}`,
      ],
      ...(times.length > 0
        ? [
            [
              'dates',
              times.length === 1 ? dayOf(times[0]!) : `${dayOf(times[0]!)} to ${dayOf(times.at(-1)!)}`,
            ] as const,
          ]
        : []),
      ...(places.all.length > 0 ? [['places', places.names] as const] : []),
      ...classRows(folder?.classes ?? [], folder?.labels ?? null),
      ...reasons.rows,
    ],
    facts: {
      ...factsOf(survey, files.length),
      ...{
        bands,
        frames,
        samples: folder?.files.length ?? 0,
        dates: times.map((time) => new Date(time).toISOString()),
      },
      classes: folder
        ? countsOf(folder.classes, folder.labels)
        : countsOf(...(({ classes, labels }) => [classes, labels] as const)(classesOf(files))),
    },
    notes: [...(folder?.notes ?? []), ...notesOf(survey)],
    next: folder
      ? [
          `sherd pretrain --data ${quoted(path)} --out runs/mine --set ${quoted(`data.bands=${JSON.stringify(bands)}`)}${sets.length > 0 ? ` ${sets.join(' ')}` : ''}${frames > 1 ? ` --set model.frames=${frames}` : ''}`,
        ]
      : [],
  }
}
