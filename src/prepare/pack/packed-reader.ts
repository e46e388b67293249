/**
 * Samples from packed images: a batch is cropped, resized and flipped in one call of the addon, on several threads; without the
 * addon in TypeScript, with the same bytes.
 *
 * The addon maps the files. Truncating one in use is reported before the next batch; in the middle of one it
 * ends the process (SIGBUS), as it does any program that maps files.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { SherdError } from '../../errors.ts'
import { pixelsAddon } from '../../native/pixels-addon.ts'
import type { Pack, PackedImages } from '../../source/packed-images.ts'
import { checkSize } from '../decode/image-size.ts'
import { reasonOf } from '../decode/refused-file.ts'
import { placeNumbers, resample, sampleBytes } from '../decode/resample-pixels.ts'
import { type CropSpace, cropsOf, type ImageReader, type SizedPlacement } from '../image-reader.ts'

interface PackedImage {
  readonly file: number
  /** In its file. */
  readonly offset: number
  readonly width: number
  readonly height: number
}

/** The crop of one row. */
interface Cut extends PackedImage {
  readonly row: number
  readonly placement: SizedPlacement
}

type Cutter = { cut(cuts: readonly Cut[], space: CropSpace): void; close(): void }

export function packedReader(
  { dir, pack }: Pick<PackedImages, 'dir' | 'pack'>,
  threads: number,
): ImageReader {
  const cutter = pixelsAddon() ? mappedCutter(pack, threads) : plainCutter(pack)
  return {
    together: Number.POSITIVE_INFINITY,
    atOnce: 1, // one call uses all threads
    close: cutter.close,
    async read(images, space) {
      if (space.channels > pack.channels)
        throw new SherdError(
          'SOURCE',
          `${dir} holds images of ${pack.channels} channel, but ${space.channels} are wanted. Pack them again with --channels ${space.channels}, or set model.channels.`,
        )
      const usable: (PackedImage | null)[] = []
      const reasons = images.map(({ index, place }) => {
        const unusable = pack.unusable?.get(index)
        if (unusable !== undefined) {
          usable.push(null)
          return unusable
        }
        const image = locate(pack, index)
        const reason = refusalOf(() => {
          checkSize(image, space)
          if (space.stride !== undefined) place(image, 0)
        })
        usable.push(reason === null ? image : null)
        return reason
      })
      for (const [crop, own] of cropsOf(space).entries()) {
        const cuts: Cut[] = []
        for (const [i, image] of usable.entries()) {
          const { row, place } = images[i]!
          if (image) cuts.push({ ...image, row, placement: place(image, crop) })
        }
        for (const part of partsOf(cuts, own)) cutter.cut(...part)
      }
      return reasons
    },
  }
}

/** What one call can cut: all, where they have one size, else each alone. */
function partsOf(cuts: readonly Cut[], space: CropSpace): (readonly [readonly Cut[], CropSpace])[] {
  const { stride, out, ...rest } = space
  if (stride === undefined) return cuts.length > 0 ? [[cuts, space]] : []
  return cuts.map((cut) => {
    const { target = space.target } = cut.placement
    const own = out.subarray(cut.row * stride, cut.row * stride + sampleBytes({ ...rest, target }))
    return [[{ ...cut, row: 0 }], { ...rest, target, out: own }]
  })
}

function locate({ files, offsets, shapes }: Pack, index: number): PackedImage {
  let file = 0
  for (let end = files.length; end - file > 1; ) {
    const middle = (file + end) >> 1
    if (files[middle]!.first <= index) file = middle
    else end = middle
  }
  const { start, first } = files[file]!
  const offset = start + offsets[index]! - offsets[first]!
  return { file, offset, height: shapes[2 * index]!, width: shapes[2 * index + 1]! }
}

function refusalOf(check: () => void): string | null {
  try {
    check()
    return null
  } catch (error) {
    return reasonOf(error)
  }
}

function mappedCutter({ channels, files }: Pack, threads: number): Cutter {
  const addon = pixelsAddon()!
  let mapped: ReturnType<typeof addon.map> | null = null
  return {
    cut(cuts, { target, channels: wanted, out, rules }) {
      mapped ??= addon.map(files.map(({ path, held }) => held ?? path))
      const rows = cuts.flatMap(({ file, offset, width, height, row, placement }) => [
        ...[file, offset, width, height],
        ...placeNumbers(placement, { target, rules }),
        row,
      ])
      addon.cropBatch(
        mapped,
        Float64Array.from(rows),
        channels,
        target.width,
        target.height,
        wanted,
        out,
        threads,
      )
    },
    close: () => {
      if (mapped) addon.unmap(mapped)
      mapped = null
    },
  }
}

function plainCutter({ channels, files }: Pack): Cutter {
  const open = new Map<number, number>()
  const handle = (file: number) => {
    const known = open.get(file) ?? openSync(files[file]!.path, 'r')
    open.set(file, known)
    return known
  }
  const pixelsOf = ({ file, offset, width, height }: Cut) => {
    const { path, held } = files[file]!
    const bytes = new Uint8Array(width * height * channels)
    if (held) bytes.set(held.subarray(offset, offset + bytes.length))
    else if (readSync(handle(file), bytes, 0, bytes.length, offset) !== bytes.length)
      throw new SherdError('SOURCE', `${path} was cut while it was in use. Pack the images again.`)
    return channels === 3
      ? bytes
      : Uint8Array.from({ length: bytes.length * 3 }, (_, i) => bytes[Math.floor(i / 3)]!)
  }
  return {
    cut(cuts, { target, channels: wanted, out, rules }) {
      const size = sampleBytes({ target, channels: wanted, rules })
      for (const cut of cuts)
        resample({ pixels: pixelsOf(cut), width: cut.width, height: cut.height }, cut.placement, {
          target,
          ...{ channels: wanted, rules },
          out: out.subarray(cut.row * size, (cut.row + 1) * size),
        })
    },
    close: () => {
      for (const file of open.values()) closeSync(file)
      open.clear()
    },
  }
}
