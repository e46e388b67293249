/**
 * Images as windows of the model's shape that cover all of them: one for an image of this shape, else as many as its longer side needs, at
 * equal distances. For predictions that have to reach the edges, where evaluation takes the largest centred box alone.
 */
import type { Box, Size } from '../source/box.ts'
import type { ImageSource } from '../source/open.ts'
import { centerCrop } from './crop.ts'
import { configureDecoder } from './decode/decode.ts'
import type { LoaderOptions } from './loader/loader.ts'
import { openReader } from './open-reader.ts'
import { type Pixels, pickSamples, sampleSpace } from './pixels.ts'
import { type SkippedFile, skipLedger } from './skipped.ts'

export interface Window {
  /** Of the whole image, in its orientation. */
  readonly size: Size
  readonly box: Box
  /** How many windows the image has. */
  readonly of: number
}

export type WindowedImages = Pixels & {
  /** The index in the source of each window's image. */
  readonly indices: Int32Array
  readonly windows: readonly Window[]
  /** Behind the last image of which all windows have been read; null where windows of some are still to come. */
  readonly next: number | null
}

/** Of a box, on each side, that may be left to the pixels at its edge: another window for a few pixels would cost as much as all. */
const LEFT_OUT = 1 / 40

/** From left to right, or from top to bottom. */
export function windowsOf(image: Size, target: Size): Box[] {
  const box = centerCrop(image, target)
  const isWide = box.width < image.width
  const [length, side] = isWide ? [image.width, box.width] : [image.height, box.height]
  const count = Math.max(1, Math.ceil(length / side - 2 * LEFT_OUT))
  if (count === 1) return [box]
  return Array.from({ length: count }, (_, i) => {
    const at = Math.round((i * (length - side)) / (count - 1))
    return isWide ? { ...box, left: at } : { ...box, top: at }
  })
}

type Options = Omit<
  LoaderOptions,
  'crop' | 'flip' | 'shuffle' | 'firstPosition' | 'onSkip' | 'photometric' | 'views'
>

/**
 * The windows of an image follow each other, those of several images share batches. Throws `DATA_BROKEN` if too many cannot be read. `from`: a
 * `next` of an earlier reading, which is continued with the same batches.
 */
export async function* windowedImages(
  {
    source,
    batchSize,
    height,
    width,
    channels,
    decodeThreads,
    maxSkippedShare,
    frames = null,
    ...limits
  }: Options,
  onSkip: (skipped: SkippedFile) => void,
  from = 0,
): AsyncGenerator<WindowedImages> {
  configureDecoder()
  const target = { width, height }
  const { files }: Pick<ImageSource, 'files'> = source
  const ledger = skipLedger(
    { files: files.length, maxShare: maxSkippedShare, corrupt: limits.corrupt },
    onSkip,
  )
  const reader = openReader(source, decodeThreads)
  interface Wanted {
    readonly index: number
    readonly which: number
  }
  async function readBatch(
    wanted: readonly Wanted[],
  ): Promise<(Pixels & Pick<WindowedImages, 'indices' | 'windows'>) | null> {
    const space = sampleSpace(wanted.length, { height, width, channels, frames })
    const made: (Window | null)[] = wanted.map(() => null)
    let next = 0
    const readInTurn = async () => {
      for (let row = next++; row < wanted.length; row = next++) {
        const { index, which } = wanted[row]!
        let window: Window | null = null
        const place = (size: Size) => {
          const boxes = windowsOf(size, target)
          window = { size: { width: size.width, height: size.height }, box: boxes[which]!, of: boxes.length }
          return { box: boxes[which]!, flip: false }
        }
        const [reason = null] = await reader.read([{ index, row, place }], {
          ...{ target, channels, ...limits, out: space.out, facts: space.facts },
          ...(frames !== null && { frames }),
          ...(which > 0 && { minValid: 0 }), // the first window has said that there is data
        })
        if (reason === null) made[row] = window
        else ledger.add({ file: files[index]!, reason })
      }
    }
    await Promise.all(Array.from({ length: reader.atOnce }, readInTurn))
    const rows = made.flatMap((window, row) => (window ? [row] : []))
    if (rows.length === 0) return null
    return {
      ...(rows.length === wanted.length ? space.samples : pickSamples(space.samples, rows)),
      indices: Int32Array.from(rows, (row) => wanted[row]!.index),
      windows: rows.map((row) => made[row]!),
    }
  }
  try {
    for (let first = from; first < files.length; first += batchSize) {
      const count = Math.min(batchSize, files.length - first)
      // The first window tells how many there are.
      const begun = await readBatch(Array.from({ length: count }, (_, i) => ({ index: first + i, which: 0 })))
      if (!begun) continue
      const others = begun.windows.flatMap(({ of }, row) =>
        Array.from({ length: of - 1 }, (_, i) => ({ index: begun.indices[row]!, which: i + 1 })),
      )
      const end = first + count
      yield { ...begun, next: others.length === 0 ? end : null }
      for (let at = 0; at < others.length; at += batchSize) {
        const batch = await readBatch(others.slice(at, at + batchSize))
        if (batch) yield { ...batch, next: at + batchSize >= others.length ? end : null }
      }
    }
  } finally {
    reader.close()
  }
}
