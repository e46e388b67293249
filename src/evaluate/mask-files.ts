/** Writes the masks of a segmented folder, a picture of some, and a JSON file with the classes. */

import { existsSync } from 'node:fs'
import { dirname, join, resolve, sep } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { interrupted, SherdError } from '../errors.ts'
import { type BatchJournal, withJournal } from '../files/batch-journal.ts'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { classColour, classTile } from '../picture/class-map.ts'
import { indexPng } from '../picture/index-png.ts'
import { tilesOfSamples } from '../picture/sample-tiles.ts'
import type { Tile } from '../picture/tile.ts'
import { drawGrid } from '../picture/tile-grid.ts'
import { sizeOf } from '../prepare/pixels.ts'
import { expectUsable, type SkippedFile } from '../prepare/skipped.ts'
import type { Size } from '../source/box.ts'
import type { Progress } from '../weights/folder-features.ts'
import type { FolderSegmentation } from '../weights/folder-segmentation.ts'
import { expectFiniteRows } from '../weights/frozen-encoder.ts'
import { classesAtOwnSize, type WindowLogits } from './own-size.ts'

const SHOWN = 6 // images in the picture

/** argmax of logits [classes, pixels] over classes; ties by index. */
export function likeliest(logits: Float32Array, classes: number): Uint16Array {
  const pixels = logits.length / classes
  const best = new Uint16Array(pixels)
  for (let c = 1; c < classes; c++)
    for (let i = 0; i < pixels; i++) if (logits[c * pixels + i]! > logits[best[i]! * pixels + i]!) best[i] = c
  return best
}

/**
 * `a/b.jpg` → `a/b.png`, or `a/b.jpg.png` if two files differ only in their extension. All are distinct, also on file systems that
 * ignore case.
 */
export function maskNames(files: readonly string[]): string[] {
  const short = files.map((file) => `${file.replace(/\.[^./]*$/, '')}.png`)
  const counts = new Map<string, number>()
  const keyOf = (name: string) => name.toLowerCase()
  for (const name of short) counts.set(keyOf(name), (counts.get(keyOf(name)) ?? 0) + 1)
  const names = files.map((file, i) => (counts.get(keyOf(short[i]!))! > 1 ? `${file}.png` : short[i]!))
  // `b.jpg`, `b.png` and `b.jpg.gif`: a long name may equal another's short one.
  return new Set(names.map(keyOf)).size === files.length ? names : files.map((file) => `${file}.png`)
}

export interface MaskFiles {
  readonly images: number
  readonly files: readonly string[]
  readonly skipped: readonly SkippedFile[]
}

export interface MaskOptions {
  /** A folder that keeps what is known of the masks in `out`: the same call continues with the images that have none. */
  readonly work?: string | undefined
  readonly onProgress?: Progress | undefined
  /** Stops behind an image. */
  readonly signal?: AbortSignal | undefined
}

/** A mask that is written, by the index of its image. */
interface Written extends Size {
  readonly index: number
  /** Of the image and its classes, if it is in the picture; their pixels are the arrays. */
  readonly tiles: readonly Omit<Tile, 'pixels'>[]
}

/** An image with its mask, or the end of some images. */
type Entry =
  | { readonly written: Written }
  | { readonly next: number; readonly skipped: readonly SkippedFile[] }

/**
 * Writes `out/masks/`, `out/segmentation.png` and `out/masks.json`. Throws `RUN`, `SOURCE`, errors of reading, and `INTERRUPTED` when the signal
 * is aborted.
 */
export const writeMasks = (
  out: string,
  segmentation: FolderSegmentation,
  options: MaskOptions = {},
): Promise<MaskFiles> =>
  withJournal<Entry, MaskFiles>(options.work, 'masks', (journal) =>
    writeAll(out, segmentation, { ...options, journal }),
  )

async function writeAll(
  out: string,
  { source, images, limit, facts, bands, logitsOf, model: origin }: FolderSegmentation,
  { journal, onProgress, signal }: MaskOptions & { readonly journal: BatchJournal<Entry> | undefined },
): Promise<MaskFiles> {
  const { classes, numbers } = facts
  const colours = new Map(numbers.map((number, place) => [number, classColour(place)]))
  const names = maskNames(source.files)
  const root = resolve(out, 'masks')
  /** By index: images of several windows are ready later. */
  const written = new Map<number, Size>()
  const waiting = new Map<number, readonly WindowLogits[]>()
  /** Of the first images, by index. */
  const shown = new Map<number, readonly Tile[]>()
  const skipped = new Map<string, SkippedFile>()
  let next = 0
  const skip = (file: SkippedFile) => void skipped.set(file.file, file)
  const pathOf = (index: number) => {
    const path = join(root, names[index]!)
    if (path.startsWith(root + sep)) return path
    // a pack may hold any names
    throw new SherdError(
      'SOURCE',
      `${source.dir} has an image of the name ${names[index]}, which leads elsewhere.`,
    )
  }
  const endGroup = () => {
    for (const index of shown.keys()) if (!written.has(index)) shown.delete(index) // a later window could not be read
    waiting.clear()
  }
  const isThere = ({ head }: { head: Entry }) =>
    !('written' in head) || existsSync(pathOf(head.written.index))
  const entries = journal?.entries ?? []
  const lost = entries.findIndex((entry) => !isThere(entry))
  if (lost >= 0) journal?.truncate(lost)
  for (const { head, arrays } of lost < 0 ? entries : entries.slice(0, lost))
    if ('written' in head) {
      const { index, tiles, width, height } = head.written
      written.set(index, { width, height })
      const pixels = arrays as readonly Uint8Array[]
      if (tiles.length > 0)
        shown.set(
          index,
          tiles.map((tile, i) => ({ ...tile, pixels: pixels[i]! })),
        )
    } else {
      next = head.next
      head.skipped.forEach(skip)
    }
  const pause = async () => {
    onProgress?.({ dir: source.dir, done: written.size + skipped.size, of: source.files.length })
    if (!signal) return
    await setImmediate() // signals of the system are heard between masks
    if (signal.aborted)
      throw interrupted({ done: written.size, of: source.files.length, continues: journal !== undefined })
  }
  const write = (
    index: number,
    parts: readonly WindowLogits[],
    { size, model }: { size: Size; model: Size },
  ) => {
    const best = classesAtOwnSize(parts, { size, model, classes: classes.length })
    makeFolder(dirname(pathOf(index)))
    const mask = best.map((place) => numbers[place]!)
    writeWhole(
      pathOf(index),
      indexPng(mask, size, (number) => colours.get(number) ?? [255, 255, 255]),
    )
    written.set(index, size)
    const tiles = shown.get(index) ?? []
    const sizes = tiles.map(({ width, height, channels }) => ({ width, height, channels }))
    journal?.append({ written: { index, ...size, tiles: sizes } }, ...tiles.map(({ pixels }) => pixels))
  }
  makeFolder(root)
  await pause()
  for await (const batch of images(next, skip)) {
    const [B] = batch.shape
    const [height, width] = sizeOf(batch)
    const model = { width, height }
    const logits = await logitsOf(batch)
    expectFiniteRows(logits, batch.indices, 'logits')
    const tiles = shown.size < SHOWN ? tilesOfSamples(batch, bands) : []
    for (const [row, index] of batch.indices.entries()) {
      if (written.has(index)) continue // before the interruption
      const own = logits.slice((row * logits.length) / B, ((row + 1) * logits.length) / B)
      const { size, box, of } = batch.windows[row]!
      const parts = [...(waiting.get(index) ?? []), { box, logits: own }]
      waiting.set(index, parts)
      if (parts.length === 1 && shown.size < SHOWN)
        shown.set(index, [tiles[row]!, classTile(likeliest(own, classes.length), model, classes.length)])
      if (parts.length < of) continue
      waiting.delete(index)
      write(index, parts, { size, model })
      await pause()
    }
    if (batch.next !== null) {
      endGroup()
      journal?.append({ next: batch.next, skipped: [...skipped.values()] })
    }
    await pause()
  }
  const left = [...skipped.values()].sort((a, b) => (a.file < b.file ? -1 : 1)) // as they come they depend on threads
  expectUsable(left, limit)
  if (written.size === 0) throw new SherdError('DATA_BROKEN', `No image of ${source.dir} could be read.`)
  const inOrder = <T>(all: ReadonlyMap<number, T>) => [...all].sort(([a], [b]) => a - b)
  const picture = join(out, 'segmentation.png')
  const png = await drawGrid({
    ...{ title: 'Segmentation', columns: [{ title: 'image' }, { title: 'classes' }] },
    rows: inOrder(shown).map(([, tiles]) => tiles),
    legend: classes.map((name, place) => ({ name, colour: classColour(place) })),
  })
  writeWhole(picture, png)
  const report = {
    ...{ format: 'sherd-masks/1', model: origin, dir: source.dir, skipped: left },
    classes: classes.map((name, place) => ({ name, number: numbers[place]! })),
    images: inOrder(written).map(([index, { width, height }]) => ({
      ...{ file: source.files[index]!, mask: `masks/${names[index]}`, width, height },
    })),
  }
  writeWhole(join(out, 'masks.json'), `${JSON.stringify(report)}\n`)
  return {
    ...{ images: written.size, skipped: left },
    files: [root, picture, join(out, 'masks.json')].map((path) => resolve(path)),
  }
}
