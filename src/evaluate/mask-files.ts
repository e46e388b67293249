/** Writes the masks of a segmented folder, a picture of some, and a JSON file with the classes. */

import { dirname, join, resolve, sep } from 'node:path'
import { interrupted, SherdError } from '../errors.ts'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { classColour, classTile } from '../picture/class-map.ts'
import { indexPng } from '../picture/index-png.ts'
import { tilesOfSamples } from '../picture/sample-tiles.ts'
import type { Tile } from '../picture/tile.ts'
import { drawGrid } from '../picture/tile-grid.ts'
import { sizeOf } from '../prepare/pixels.ts'
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
}

/** Writes `out/masks/`, `out/segmentation.png` and `out/masks.json`. Throws `RUN`, `SOURCE` and errors of reading. */
export async function writeMasks(out: string, segmentation: FolderSegmentation): Promise<MaskFiles> {
  const { source, batches, facts, bands, logitsOf, model, onProgress, skipped, signal } = segmentation
  const { classes, numbers } = facts
  const colours = new Map(numbers.map((number, place) => [number, classColour(place)]))
  const names = maskNames(source.files)
  const root = resolve(out, 'masks')
  /** By index: images of several windows are ready later. */
  const written = new Map<number, { file: string; mask: string; width: number; height: number }>()
  const waiting = new Map<number, readonly WindowLogits[]>()
  const shown: Tile[][] = []
  makeFolder(root)
  for await (const batch of batches) {
    if (signal?.aborted) throw interrupted({ done: written.size, of: source.files.length, continues: false })
    const [B] = batch.shape
    const [height, width] = sizeOf(batch)
    const model = { width, height }
    const logits = await logitsOf(batch)
    expectFiniteRows(logits, batch.indices, 'logits')
    const tiles = shown.length < SHOWN ? tilesOfSamples(batch, bands) : []
    for (const [row, index] of batch.indices.entries()) {
      const own = logits.slice((row * logits.length) / B, ((row + 1) * logits.length) / B)
      const whole = { size: model, box: { left: 0, top: 0, ...model }, of: 1 }
      const { size, box, of } = batch.windows?.[row] ?? whole
      const parts = [...(waiting.get(index) ?? []), { box, logits: own }]
      waiting.set(index, parts)
      if (parts.length === 1 && shown.length < SHOWN)
        shown.push([tiles[row]!, classTile(likeliest(own, classes.length), model, classes.length)])
      if (parts.length < of) continue
      waiting.delete(index)
      const best = classesAtOwnSize(parts, { size, model, classes: classes.length })
      const path = join(root, names[index]!)
      if (!path.startsWith(root + sep))
        // a pack may hold any names
        throw new SherdError(
          'SOURCE',
          `${source.dir} has an image of the name ${names[index]}, which leads elsewhere.`,
        )
      makeFolder(dirname(path))
      const mask = best.map((place) => numbers[place]!)
      writeWhole(
        path,
        indexPng(mask, size, (number) => colours.get(number) ?? [255, 255, 255]),
      )
      written.set(index, { file: source.files[index]!, mask: `masks/${names[index]}`, ...size })
    }
    onProgress?.({ dir: source.dir, done: written.size, of: source.files.length })
  }
  if (written.size === 0) throw new SherdError('DATA_BROKEN', `No image of ${source.dir} could be read.`)
  const picture = join(out, 'segmentation.png')
  const png = await drawGrid({
    ...{ title: 'Segmentation', columns: [{ title: 'image' }, { title: 'classes' }], rows: shown },
    legend: classes.map((name, place) => ({ name, colour: classColour(place) })),
  })
  writeWhole(picture, png)
  const report = {
    ...{ format: 'sherd-masks/1', model, dir: source.dir, skipped },
    classes: classes.map((name, place) => ({ name, number: numbers[place]! })),
    images: [...written].sort(([a], [b]) => a - b).map(([, entry]) => entry),
  }
  writeWhole(join(out, 'masks.json'), `${JSON.stringify(report)}\n`)
  return {
    images: written.size,
    files: [root, picture, join(out, 'masks.json')].map((path) => resolve(path)),
  }
}
