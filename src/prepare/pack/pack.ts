/**
 * Packs a folder of images: decodes once, optionally shrinks, writes NumPy files. The result is complete or absent, in the order
 * of the source.
 */
import { existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { messageOf, SherdError } from '../../errors.ts'
import { npyHeader, npyHeaderBytes } from '../../files/npy.ts'
import type { Size } from '../../source/box.ts'
import type { ImageFolder } from '../../source/image-folder.ts'
import { fingerprint } from '../../source/open.ts'
import { type PackManifest, sha256Of } from '../../source/packed-images.ts'
import type { Corruption } from '../decode/damage.ts'
import { configureDecoder, defaultMaxPixels, tryDecode } from '../decode/decode.ts'
import type { DepthRange } from '../decode/raw-pixels.ts'
import { defaultMaxSkippedShare, type SkipLedger, type SkippedFile, skipLedger } from '../skipped.ts'
import { finishDraft, makeDraft } from './pack-draft.ts'

export interface PackOptions {
  readonly source: ImageFolder
  /** A new or empty folder. */
  readonly out: string
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
  /** Called for each skipped image. */
  readonly onSkip?: (skipped: SkippedFile) => void
}

export interface PackSummary {
  readonly dir: string
  readonly manifest: PackManifest
  /** Of the pixels. */
  readonly bytes: number
  readonly skipped: readonly SkippedFile[]
}

const DEFAULT_FILE_BYTES = 2 ** 30

/** Throws `RUN` if `out` cannot be written, `DATA_BROKEN` if too many images are unreadable. */
export async function packImages(options: PackOptions): Promise<PackSummary> {
  const out = resolve(options.out)
  expectUnused(out)
  let temporary: string | undefined
  try {
    temporary = makeDraft(out)
    const packed = await write(temporary, options)
    finishDraft(temporary)
    if (existsSync(out)) rmSync(out, { recursive: true })
    renameSync(temporary, out)
    return { dir: out, ...packed }
  } catch (error) {
    if (temporary !== undefined) rmSync(temporary, { recursive: true, force: true })
    if (error instanceof SherdError) throw error
    throw new SherdError('RUN', `Cannot write the packed images to ${out}: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

function expectUnused(out: string): void {
  if (!existsSync(out)) return
  if (!statSync(out).isDirectory() || readdirSync(out).length > 0)
    throw new SherdError('RUN', `${out} is there already and not an empty folder: choose another for --out.`)
}

interface Decoded extends Size {
  readonly pixels: Uint8Array
}

async function write(
  dir: string,
  options: PackOptions,
): Promise<Pick<PackSummary, 'manifest' | 'bytes' | 'skipped'>> {
  const { source, shortSide, channels = 3 } = options
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
  const pixels = pixelFiles(dir, options.fileBytes ?? DEFAULT_FILE_BYTES)
  const { kept, shapes, offsets } = await decodeAll(chosen, pixels.add, ledger, options).catch(
    async (error: unknown) => {
      await pixels.close()
      throw error
    },
  )
  const images = kept.length
  const column = async (name: string, dtype: string, shape: readonly number[], values: Uint8Array) => {
    const file = await open(join(dir, `${name}.npy`), 'wx')
    await file.writeFile(Buffer.concat([npyHeader({ dtype, shape }), values]))
    await file.sync()
    await file.close()
    return { name: `${name}.npy`, sha256: await sha256Of(join(dir, `${name}.npy`)) }
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
  return { manifest, bytes: offsets.at(-1)!, skipped }
}

/** Decodes several images concurrently and delivers them in order. */
async function decodeAll(
  chosen: readonly number[],
  add: (pixels: Uint8Array) => Promise<void>,
  ledger: SkipLedger,
  options: PackOptions,
): Promise<{ kept: number[]; shapes: number[]; offsets: number[] }> {
  const { source, onProgress } = options
  const kept: number[] = []
  const shapes: number[] = []
  const offsets = [0]
  configureDecoder()
  const together = 4 * availableParallelism()
  for (let first = 0; first < chosen.length; first += together) {
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
      await add(image.pixels)
      kept.push(index)
      shapes.push(image.height, image.width)
      offsets.push(offsets.at(-1)! + image.pixels.length)
    }
    onProgress?.(Math.min(first + together, chosen.length), chosen.length)
  }
  return { kept, shapes, offsets }
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

/** Writes pixels into files of about `fileBytes`, and their headers at the end, when the lengths are known. */
function pixelFiles(dir: string, fileBytes: number) {
  const done: { name: string; images: number; sha256: string }[] = []
  let current: { readonly name: string; readonly file: FileHandle; images: number; bytes: number } | undefined
  const begin = async () => {
    const name = `pixels-${String(done.length).padStart(5, '0')}.npy`
    const file = await open(join(dir, name), 'wx')
    await file.write(Buffer.alloc(npyHeaderBytes), 0, npyHeaderBytes, 0)
    return { name, file, images: 0, bytes: 0 }
  }
  const end = async () => {
    if (!current) return
    const { name, file, images, bytes } = current
    await file.write(npyHeader({ dtype: '|u1', shape: [bytes] }), 0, npyHeaderBytes, 0)
    await file.sync()
    await file.close()
    current = undefined
    done.push({ name, images, sha256: await sha256Of(join(dir, name)) })
  }
  return {
    async add(pixels: Uint8Array) {
      current ??= await begin()
      for (let written = 0; written < pixels.length; ) {
        const place = npyHeaderBytes + current.bytes + written
        written += (await current.file.write(pixels, written, pixels.length - written, place)).bytesWritten
      }
      current.images++
      current.bytes += pixels.length
      if (current.bytes >= fileBytes) await end()
    },
    /** Closes files after a failure. */
    async close() {
      await current?.file.close()
    },
    /** A single file has no number in its name. */
    async finish() {
      await end()
      if (done.length === 1) {
        renameSync(join(dir, done[0]!.name), join(dir, 'pixels.npy'))
        done[0]!.name = 'pixels.npy'
      }
      return done
    },
  }
}
