/** The codes of a folder's images by a tokenizer, and patches of them that have a code in common. */
import { readingConfig } from '../config/reading.ts'
import { weightsOf } from '../model/parameters.ts'
import { isOfRasters, type Pixels } from '../prepare/pixels.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import type { ImageSource } from '../source/open.ts'
import { noGrad } from '../tensor/context.ts'
import { toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { toFloats } from '../tensor/tensor.ts'
import type { Grid, PatchSize } from '../token/grid.ts'
import { gathering, type ReadingOptions } from './folder-features.ts'
import { viewFor } from './frozen-encoder.ts'
import type { OpenedTokenizer } from './frozen-tokenizer.ts'
import { gatherRows } from './gather-rows.ts'
import { openFor } from './open-encoder.ts'

/** A patch as bytes [h, w, C]. */
export interface Patch {
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3
  readonly pixels: Uint8Array
}

export interface FolderCodes {
  readonly source: ImageSource
  /** [images, N], row by row. */
  readonly codes: Int32Array
  readonly grid: Grid
  readonly images: number
  /** Index in the source of each image. */
  readonly indices: readonly number[]
  readonly skipped: readonly SkippedFile[]
  /** The first patches of each code that has some, by its number: one of an image. */
  readonly patches: ReadonlyMap<number, readonly Patch[]>
}

export interface CodesReading extends ReadingOptions {
  /** Patches that are kept of each code, of what is read now; default 0. */
  readonly patches?: number
}

interface Bytes {
  readonly pixels: Uint8Array
  readonly shape: readonly [B: number, H: number, W: number, C: 1 | 3]
}

/** The patch of a sample at (row, column) of the grid. */
function cut(
  { pixels, shape: [, H, W, channels] }: Bytes,
  [height, width]: PatchSize,
  [sample, row, column]: readonly [number, number, number],
): Patch {
  const out = new Uint8Array(height * width * channels)
  for (let y = 0; y < height; y++) {
    const from = ((sample * H + row * height + y) * W + column * width) * channels
    out.set(pixels.subarray(from, from + width * channels), y * width * channels)
  }
  return { width, height, channels, pixels: out }
}

export const codesOfFolder = async (
  tokenizer: OpenedTokenizer,
  dir: string,
  options: CodesReading = {},
): Promise<FolderCodes> => codesOfSource(tokenizer, await openFor(tokenizer, dir), options)

/** Throws as `gatherRows`. */
export async function codesOfSource(
  tokenizer: OpenedTokenizer,
  source: ImageSource,
  { patches: most = 0, ...options }: CodesReading = {},
): Promise<FolderCodes> {
  const { objective, parameters, machine, shape } = tokenizer
  const { grid } = objective.layout
  const { patchSize } = shape.dimensions
  const reading = gathering(readingConfig(tokenizer), source, { ...options, decoding: machine, shape })
  const patches = new Map<number, Patch[]>()
  const keep = (samples: Pixels, codes: Float32Array) => {
    if (most === 0 || isOfRasters(samples) || !(samples.pixels instanceof Uint8Array)) return
    const bytes = { pixels: samples.pixels, shape: samples.shape } as Bytes
    const last = new Map<number, number>()
    for (const [i, code] of codes.entries()) {
      const found = patches.get(code) ?? []
      const [b, place] = [Math.floor(i / objective.tokens), i % objective.tokens]
      if (found.length >= most || last.get(code) === b) continue
      last.set(code, b)
      const at = [b, Math.floor(place / grid.w), place % grid.w] as const
      patches.set(code, [...found, cut(bytes, patchSize, at)])
    }
  }
  const weights = weightsOf(parameters)
  const { indices, parts, skipped } = await gatherRows({
    ...reading,
    compute(samples) {
      const codes = noGrad(() =>
        scope(() => toFloats(toDtype(objective.encode(viewFor(tokenizer, samples), weights), 'float32'))),
      )
      keep(samples, codes)
      return [codes]
    },
  })
  const codes = Int32Array.from(parts[0] ?? [])
  return { source, codes, grid, images: indices.length, indices: [...indices], skipped, patches }
}
