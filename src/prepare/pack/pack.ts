/**
 * Packs a folder of images: decodes once, optionally shrinks, writes NumPy files. The result is complete or absent, in the order
 * of the source.
 */
import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { interrupted } from '../../errors.ts'
import { cannotWrite } from '../../files/cannot-write.ts'
import { claimed, type Draft } from '../../files/claim.ts'
import { npyHeader } from '../../files/npy.ts'
import { writeDraft } from '../../files/regular-file.ts'
import type { Size } from '../../source/box.ts'
import { stateOfSource } from '../../source/file-state.ts'
import type { ImageFolder } from '../../source/image-folder.ts'
import { fingerprint } from '../../source/open.ts'
import { isPack, type PackManifest, readManifest, sha256Of } from '../../source/packed-images.ts'
import type { Corruption } from '../decode/damage.ts'
import { configureDecoder, defaultMaxPixels, tryDecode } from '../decode/decode.ts'
import type { DepthRange } from '../decode/raw-pixels.ts'
import { defaultMaxSkippedShare, type SkipLedger, type SkippedFile, skipLedger } from '../skipped.ts'
import { openPixelFiles, type PixelFiles } from './pixel-files.ts'

export interface PackOptions {
  readonly source: ImageFolder
  readonly out: string
  /** Replaces a pack of other images or options; without, a new or empty folder is expected, or this pack. */
  readonly overwrite?: boolean | undefined
  /** sherd's version, for the manifest. */
  readonly version: string
  /** Shrinks larger images to this shorter side. Default: none. */
  readonly shortSide?: number | undefined
  /** 3 (sRGB, the default) or 1 (luma). */
  readonly channels?: 1 | 3
  /** At most this many images, spread evenly over the source. Default: all. */
  readonly limit?: number | undefined
  /** Approximate size of a file of pixels. Default 1 GiB. */
  readonly fileBytes?: number
  readonly maxPixels?: number | undefined
  /** Treatment of damaged images; default `skip`. */
  readonly corrupt?: Corruption | undefined
  /** Time limits of reading and of decoding an image, in seconds; default 30. */
  readonly fileTimeout?: number | undefined
  /** The values of 16-bit images that map to 0 and 255; default null: the high byte. */
  readonly range?: DepthRange | null | undefined
  /** Largest share of unreadable images; default 0.01. */
  readonly maxSkippedShare?: number | undefined
  readonly onProgress?: (done: number, count: number) => void
  readonly signal?: AbortSignal | undefined
  /** Called for each skipped image. */
  readonly onSkip?: (skipped: SkippedFile) => void
}

export interface PackSummary {
  readonly dir: string
  readonly manifest: PackManifest
  /** Of the pixels. */
  readonly bytes: number
  readonly skipped: readonly SkippedFile[]
  /** Whether the same call had made it before. */
  readonly wasThere: boolean
}

const DEFAULT_FILE_BYTES = 2 ** 30

/** What the record of a pack says, beside the options that change it. */
type Packed = Pick<PackSummary, 'bytes' | 'skipped'>

/**
 * Throws as `claim` for an `out` that exists, `RUN` if it cannot be written, `DATA_BROKEN` if too many images are unreadable, `INTERRUPTED`:
 * what is packed is kept then, and the same call continues, to the same bytes.
 */
export async function packImages(options: PackOptions): Promise<PackSummary> {
  const { out, source, shortSide, channels = 3, limit, fileBytes = DEFAULT_FILE_BYTES } = options
  const { maxPixels, corrupt, range, overwrite } = options
  const made = {
    command: 'pack',
    options: { shortSide, channels, limit, fileBytes, maxPixels, corrupt, range: range ?? undefined },
    inputs: { images: stateOfSource(source) },
  }
  try {
    const { result, wasThere } = await claimed<Packed>(
      { out, kind: 'folder', made, overwrite, continues: true, isResult: isPack },
      (draft) => write(draft, options),
    )
    return { dir: resolve(out), manifest: readManifest(resolve(out)), wasThere, ...result }
  } catch (error) {
    throw cannotWrite(out, error, { what: `the packed images to ${resolve(out)}` })
  }
}

interface Decoded extends Size {
  readonly pixels: Uint8Array
}

async function write(draft: Draft<Packed>, options: PackOptions): Promise<Packed> {
  const { source, shortSide, channels = 3 } = options
  const dir = draft.fileFor()
  const chosen = chosenImages(source.files.length, options.limit)
  const skipped: SkippedFile[] = []
  const ledger = skipLedger(
    {
      files: chosen.length,
      maxShare: options.maxSkippedShare ?? defaultMaxSkippedShare,
      corrupt: options.corrupt,
    },
    (file) => {
      skipped.push(file)
      options.onSkip?.(file)
    },
  )
  const pixels = await openPixelFiles(dir, join(draft.dir, 'parts'), options.fileBytes ?? DEFAULT_FILE_BYTES)
  try {
    const { kept, shapes } = await decodeAll(chosen, pixels, { ledger, skipped, options })
    const images = kept.length
    const offsets = [0]
    for (let i = 0; i < images; i++)
      offsets.push(offsets[i]! + shapes[2 * i]! * shapes[2 * i + 1]! * channels)
    const column = async (name: string, dtype: string, shape: readonly number[], values: Uint8Array) => {
      const path = join(dir, `${name}.npy`)
      writeDraft(path, Buffer.concat([npyHeader({ dtype, shape }), values]))
      return { name: `${name}.npy`, sha256: await sha256Of(path) }
    }
    const bytesOf = (array: Int32Array | BigInt64Array) => new Uint8Array(array.buffer)
    const names = fixedWidth(kept.map((index) => source.files[index]!))
    const manifest: PackManifest = {
      format: 'sherd-pack/1',
      sherd: options.version,
      images,
      channels,
      shortSide: shortSide ?? null,
      source: { files: source.files.length, fingerprint: fingerprint(source) },
      classes: [...source.classes],
      pixels: await pixels.finish(),
      offsets: await column('offsets', '<i8', [images + 1], bytesOf(BigInt64Array.from(offsets, BigInt))),
      shapes: await column('shapes', '<i4', [images, 2], bytesOf(Int32Array.from(shapes))),
      labels: await column(
        'labels',
        '<i4',
        [images],
        bytesOf(Int32Array.from(kept, (index) => source.labels?.[index] ?? -1)),
      ),
      names: await column('names', `|S${names.width}`, [images], names.bytes),
    }
    writeFileSync(join(dir, 'skipped.jsonl'), skipped.map((file) => `${JSON.stringify(file)}\n`).join(''))
    writeFileSync(join(dir, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`, { flush: true })
    return { bytes: offsets.at(-1)!, skipped }
  } finally {
    await pixels.close()
  }
}

interface Decoding {
  readonly ledger: SkipLedger
  /** Grows with the ledger. */
  readonly skipped: readonly SkippedFile[]
  readonly options: PackOptions
}

/** Decodes several images concurrently and packs them in order, behind what was packed before. */
async function decodeAll(
  chosen: readonly number[],
  pixels: PixelFiles,
  { ledger, skipped, options }: Decoding,
): Promise<{ kept: number[]; shapes: number[] }> {
  const { source, onProgress, signal } = options
  const [kept, shapes]: [number[], number[]] = [[], []]
  for (const part of pixels.before) {
    kept.push(...part.kept)
    shapes.push(...part.shapes)
    for (const file of part.skipped) ledger.add(file)
  }
  const from = pixels.before.at(-1)?.next ?? 0
  onProgress?.(from, chosen.length)
  configureDecoder()
  const together = 4 * availableParallelism()
  let written = { images: kept.length, skipped: skipped.length }
  const endPart = async (next: number) => {
    if (kept.length === written.images) return
    await pixels.endPart({
      next,
      kept: kept.slice(written.images),
      shapes: shapes.slice(2 * written.images),
      skipped: skipped.slice(written.skipped),
    })
    written = { images: kept.length, skipped: skipped.length }
  }
  for (let first = from; first < chosen.length; first += together) {
    if (signal?.aborted) throw interrupted({ done: first, of: chosen.length, continues: true })
    const some = chosen.slice(first, first + together)
    const decoded = await Promise.all(
      some.map((index) => decode(join(source.dir, source.files[index]!), options)),
    )
    for (const [i, image] of decoded.entries()) {
      const index = some[i]!
      if (typeof image === 'string') {
        ledger.add({ file: source.files[index]!, reason: image })
        continue
      }
      kept.push(index)
      shapes.push(image.height, image.width)
      if (await pixels.add(image.pixels)) await endPart(first + i + 1)
    }
    const next = first + some.length
    await endPart(next)
    onProgress?.(next, chosen.length)
  }
  return { kept, shapes }
}

function chosenImages(files: number, limit = files): number[] {
  const count = Math.min(files, limit)
  return Array.from({ length: count }, (_, i) => Math.floor((i * files) / count))
}

/** The whole image, or the reason of the failure. */
async function decode(path: string, options: PackOptions): Promise<Decoded | string> {
  const { shortSide, channels = 3, maxPixels = defaultMaxPixels, corrupt, fileTimeout } = options
  const { range = null } = options
  let image: Decoded | undefined
  const reason = await tryDecode(path, {
    ...{ channels, maxPixels, range, corrupt, fileTimeout, minSide: 1, isFullResolution: true },
    sample: (size) => {
      const target = shrunk(size, shortSide)
      image = { ...target, pixels: new Uint8Array(target.width * target.height * channels) }
      return { box: { left: 0, top: 0, ...size }, flip: false, target, out: image.pixels }
    },
  })
  return reason ?? image!
}

function shrunk({ width, height }: Size, shortSide: number | undefined): Size {
  const share = shortSide === undefined ? 1 : Math.min(1, shortSide / Math.min(width, height))
  const side = (pixels: number) => Math.max(1, Math.round(pixels * share))
  return { width: side(width), height: side(height) }
}

/** NumPy's fixed-width byte strings: UTF-8, padded with zeros. */
function fixedWidth(texts: readonly string[]): { width: number; bytes: Uint8Array } {
  const width = texts.reduce((most, text) => Math.max(most, Buffer.byteLength(text)), 1)
  const bytes = Buffer.alloc(texts.length * width)
  for (const [i, text] of texts.entries()) bytes.write(text, i * width)
  return { width, bytes }
}
