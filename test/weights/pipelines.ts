/** What the libraries of published encoders make of image files, by scripts/reference/make_pipelines.py; and the files. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { toFloat32 } from '../../src/checkpoint/arrays.ts'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../src/package-root.ts'

export const layouts = join(packageRoot(), '../shared/reference/layouts')
const reference = join(packageRoot(), 'test/reference/pipelines')

export interface PipelineRow {
  /** Its folder of the layouts. */
  readonly of: string
  readonly library: 'transformers' | 'timm' | 'open_clip' | 'torchvision'
  readonly size: readonly [number, number]
  /** A processor beside the weights, or keys of `pretrained_cfg` or `preprocess_cfg`. */
  readonly change?: Readonly<Record<string, unknown>>
  /** Checksums of the pixels that the pipeline on Pillow makes of `files` and `more`. */
  readonly pixels?: readonly string[]
  /** Files of which that pipeline makes something else, as the script says. */
  readonly apart?: readonly string[]
}

const { tensors, metadata } = readArrays(join(reference, 'features.safetensors'))
const said = <T>(name: string): T => JSON.parse(metadata[name]!)

export const hasLayouts = existsSync(layouts)
export const rows = said<Readonly<Record<string, PipelineRow>>>('rows')
export const files = said<readonly string[]>('files')
/** Kinds of files of which pixels alone are compared. */
export const more = said<readonly string[]>('more')

/** The features of `files`, one after another: by the library's usual pipeline, or by that on Pillow, where there are two. */
export function expectedFeatures(row: string, pipeline: '' | '.pillow' = ''): Float32Array | null {
  const found = tensors.get(`${row}${pipeline}`)
  return found ? toFloat32(found.data, found.dtype) : null
}

/** 4100 × 3000 pixels of whole numbers alone, as the script makes them. */
function largePicture(): Uint8Array {
  const pixels = new Uint8Array(4100 * 3000 * 3)
  const wave = (u: number) => ((u & 511) < 256 ? u & 255 : 255 - (u & 255))
  let at = 0
  for (let y = 0; y < 3000; y++)
    for (let x = 0; x < 4100; x++)
      for (let c = 0; c < 3; c++)
        pixels[at++] = (wave((x * y) >> (8 + c)) + wave((x * (3 + c) + y * (5 - c)) >> 2)) >> 1
  return pixels
}

/** All of the files but the large one. */
export const copyImages = (folder: string): void =>
  cpSync(join(reference, 'images'), folder, { recursive: true })

/** Writes all of the files into one folder. */
export async function writeImages(folder: string): Promise<void> {
  copyImages(folder)
  const raw = { width: 4100, height: 3000, channels: 3 } as const
  await sharp(largePicture(), { raw }).png({ compressionLevel: 1 }).toFile(join(folder, 'large.png'))
}

/** The model of a row, as a folder or file that sherd opens, and what its file does not say. */
export function modelOf(name: string, work: string): { readonly model: string; readonly set?: string[] } {
  const { of, change, size } = rows[name]!
  const from = join(layouts, of)
  const pth = readdirSync(from).find((file) => file.endsWith('.pth'))
  if (pth) {
    const isTurned = of.startsWith('dinov3') // its positions are for any size, and say its heads
    return { model: join(from, pth), set: [isTurned ? `model.imageSize=[${size}]` : 'model.heads=4'] }
  }
  if (!change) return { model: from }
  const folder = join(work, name.replace(', ', '-'))
  mkdirSync(folder, { recursive: true })
  cpSync(from, folder, { recursive: true })
  for (const [file, key] of [
    ['config.json', 'pretrained_cfg'],
    ['open_clip_config.json', 'preprocess_cfg'],
  ] as const) {
    const path = join(folder, file)
    const json = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {}
    if (!json[key]) continue
    rmSync(path)
    writeFileSync(path, JSON.stringify({ ...json, [key]: { ...json[key], ...change } }))
    return { model: folder }
  }
  writeFileSync(join(folder, 'preprocessor_config.json'), JSON.stringify(change))
  return { model: folder }
}

export function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, ofA, ofB] = [0, 0, 0]
  for (const [i, x] of a.entries()) {
    dot += x * b[i]!
    ofA += x * x
    ofB += b[i]! * b[i]!
  }
  return dot / Math.sqrt(ofA * ofB)
}
