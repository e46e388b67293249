/**
 * A folder of packed images (`sherd pack`) as a source of samples. The files are untrusted: every offset is checked here against their
 * lengths.
 */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { messageOf, SherdError } from '../errors.ts'
import { examineNpy, readNpy } from '../files/npy.ts'
import { notRegular } from '../files/regular-file.ts'
import type { SampleFiles } from './image-folder.ts'

const MANIFEST = 'manifest.json'
const MAX_MANIFEST_BYTES = 64e6

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const file = z.object({
  name: z.string().regex(/^[a-z0-9-]+\.npy$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
})
const manifestSchema = z.object({
  format: z.literal('sherd-pack/1'),
  /** Version that wrote it. */
  sherd: z.string(),
  images: count.min(1),
  channels: z.union([z.literal(1), z.literal(3)]),
  /** Shorter side to which larger images were shrunk, or null. */
  shortSide: count.min(1).nullable(),
  /** The packed list of files. */
  source: z.object({ files: count, fingerprint: z.string() }),
  classes: z.array(z.string()),
  /** One or more files of pixels, each of whole images. */
  pixels: z.array(file.extend({ images: count.min(1) })).min(1),
  offsets: file,
  shapes: file,
  labels: file,
  names: file,
})

export type PackManifest = z.infer<typeof manifestSchema>

/** Can be sent to other threads by structured clone. */
export interface Pack {
  readonly channels: number
  /** [images, 2]: height and width of each. */
  readonly shapes: Int32Array
  /** [images + 1]: offset of each image in the concatenated pixels. */
  readonly offsets: Float64Array
  readonly files: readonly PackedFile[]
  /** Hash of the contents; empty for a folder's images that are held in memory, which the list of files identifies. */
  readonly content: string
  /** Why images without pixels cannot be used, by index. */
  readonly unusable?: ReadonlyMap<number, string>
}

export interface PackedFile {
  readonly path: string
  /** Offset of the pixels in the file. */
  readonly start: number
  /** Index of the file's first image. */
  readonly first: number
  /** Its bytes, where they are held in memory shared by all threads: the file is not opened then. */
  readonly held?: Uint8Array
}

/** `files` are the images' original names, which are not opened. */
export interface PackedImages extends SampleFiles {
  readonly kind: 'packed'
  readonly pack: Pack
}

export const isPack = (dir: string): boolean => existsSync(join(dir, MANIFEST))

const broken = (path: string, what: string) =>
  new SherdError('SOURCE', `${path} cannot be used: ${what}. Pack the images again.`)

/** Throws `SOURCE`. */
export function readManifest(root: string): PackManifest {
  const path = join(root, MANIFEST)
  let json: unknown
  try {
    const status = statSync(path)
    if (!status.isFile()) throw new Error(notRegular)
    if (status.size > MAX_MANIFEST_BYTES) throw new Error('it is too large')
    json = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw broken(path, messageOf(error))
  }
  const parsed = manifestSchema.safeParse(json)
  if (!parsed.success)
    throw broken(path, `it is no manifest of this version:\n${z.prettifyError(parsed.error)}`)
  return parsed.data
}

/** Throws `SOURCE` with the file and the field that is invalid. */
export function openPack(dir: string): PackedImages {
  const root = resolve(dir)
  const manifest = readManifest(root)
  const { images, channels, classes } = manifest
  const column = (
    name: 'shapes' | 'offsets' | 'labels' | 'names',
    dtype: RegExp,
    shape: readonly number[],
  ) => {
    const path = join(root, manifest[name].name)
    return { path, ...readNpy(path, { dtype, shape }) }
  }
  const shapes = column('shapes', /^<i4$/, [images, 2])
  const offsets = column('offsets', /^<i8$/, [images + 1])
  const labels = column('labels', /^<i4$/, [images])
  const names = column('names', /^\|S\d+$/, [images])

  const sizes = new Int32Array(shapes.values.buffer, 0, images * 2)
  const starts = Float64Array.from(new BigInt64Array(offsets.values.buffer, 0, images + 1), Number)
  if (starts[0] !== 0) throw broken(offsets.path, 'the first offset is not 0')
  for (let i = 0; i < images; i++) {
    const [height, width] = [sizes[2 * i]!, sizes[2 * i + 1]!]
    if (height < 1 || width < 1) throw broken(shapes.path, `image ${i} is ${width} x ${height} pixels`)
    if (starts[i + 1] !== starts[i]! + height * width * channels)
      throw broken(offsets.path, `offset ${i + 1} does not follow from the shapes`)
  }
  let first = 0
  const files = manifest.pixels.map(({ name, images: held }) => {
    const path = join(root, name)
    const { dtype, start, bytes } = examineNpy(path)
    const last = first + held
    if (dtype !== '|u1' || last > images || bytes !== starts[last]! - starts[first]!)
      throw broken(path, `its ${bytes} bytes are not those of images ${first} to ${last - 1}`)
    const file = { path, start, first }
    first = last
    return file
  })
  if (first !== images)
    throw broken(join(root, MANIFEST), `its pixels are those of ${first} of ${images} images`)

  const numbers = new Int32Array(labels.values.buffer, 0, images)
  for (const [i, label] of numbers.entries())
    if (label < -1 || label >= classes.length) throw broken(labels.path, `image ${i} has the label ${label}`)
  const width = names.bytes / images
  const list = Array.from({ length: images }, (_, i) => {
    const name = names.values.subarray(i * width, (i + 1) * width)
    const end = name.indexOf(0)
    return name.toString('utf8', 0, end < 0 ? width : end)
  })
  const content = createHash('sha256').update(manifest.pixels.map(({ sha256 }) => sha256).join())
  return {
    kind: 'packed',
    dir: root,
    files: list,
    classes: [...classes],
    labels: classes.length > 0 && !numbers.includes(-1) ? numbers : null,
    pack: { channels, shapes: sizes, offsets: starts, files, content: content.digest('hex') },
  }
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash)
  return hash.digest('hex')
}

/** Compares the hash of every file. Throws `SOURCE` with the first that differs. `onProgress`: files. */
export async function checkPack(
  dir: string,
  onProgress?: (done: number, of: number) => void,
): Promise<PackManifest> {
  const root = resolve(dir)
  openPack(root)
  const manifest = readManifest(root)
  const { pixels, offsets, shapes, labels, names } = manifest
  const all = [offsets, shapes, labels, names, ...pixels]
  for (const [done, { name, sha256 }] of all.entries()) {
    onProgress?.(done, all.length)
    const found = await sha256Of(join(root, name))
    if (found !== sha256)
      throw broken(join(root, name), `its SHA-256 is ${found}, the manifest says ${sha256}`)
  }
  onProgress?.(all.length, all.length)
  return manifest
}
