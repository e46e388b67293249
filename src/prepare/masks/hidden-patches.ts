/** Which patches of a sample the mask of its image hides: PNG files beside the images, of the same names, cut and mirrored as the sample. */
import { existsSync } from 'node:fs'
import { extname, join } from 'node:path'
import { SherdError } from '../../errors.ts'
import type { Size } from '../../source/box.ts'
import { reasonOf } from '../decode/refused-file.ts'
import type { SizedPlacement } from '../image-reader.ts'
import { type IndexMask, readIndexMask } from './index-mask.ts'

interface PatchGrid {
  readonly h: number
  readonly w: number
}

/** The masks of a view. */
export interface MaskFiles {
  /** With a mask for each image, under the same path but for its extension. */
  readonly dir: string
  /** Rows and columns of patches of the sample. */
  readonly grid: PatchGrid
}

export const maskPath = (dir: string, file: string): string =>
  join(dir, `${file.slice(0, file.length - extname(file).length)}.png`)

const NAMED = 3

/** Throws `SOURCE` unless each image has a mask. */
export function expectMaskFiles(dir: string, files: readonly string[]): void {
  if (!existsSync(dir))
    throw new SherdError(
      'SOURCE',
      `There is no folder ${dir}: expected PNG masks in mask.dir, one for each image.`,
    )
  const missing = files.map((file) => maskPath(dir, file)).filter((path) => !existsSync(path))
  if (missing.length === 0) return
  const named = missing.slice(0, NAMED).join(', ')
  throw new SherdError(
    'SOURCE',
    `mask.dir: ${missing.length} of ${files.length} images have no mask: expected ${named}${missing.length > NAMED ? ' …' : ''}. A mask has the path of its image in the folder, and the extension .png.`,
  )
}

/** A mask that is smaller or larger than its image may be half a pixel away from the image's shape. */
const hasShapeOf = (mask: Size, image: Size): boolean =>
  2 * Math.abs(mask.width * image.height - mask.height * image.width) <= Math.max(image.width, image.height)

/** How much of each pixel of a line of `side` lies in each of `parts` equal parts from `from` on, `length` long. */
function shares(side: number, from: number, length: number, parts: number) {
  return Array.from({ length: parts }, (_, part) => {
    const [begin, end] = [from + (part * length) / parts, from + ((part + 1) * length) / parts]
    const [first, last] = [Math.max(0, Math.floor(begin)), Math.min(side, Math.ceil(end))]
    return Array.from({ length: Math.max(0, last - first) }, (_, i) => ({
      at: first + i,
      share: Math.min(end, first + i + 1) - Math.max(begin, first + i),
    }))
  })
}

/** Above rounding errors. */
const HALF = 0.5 + 1e-9

/**
 * [h · w] 1 for patches of which more than half is masked (not 0). Where that is every patch, the one that is masked least is seen, of equal
 * ones the first. What lies beyond the image is not masked.
 */
export function hiddenPatches(
  mask: IndexMask,
  image: Size,
  { box, cut, flip, target }: SizedPlacement & { readonly target: Size },
  { h, w }: PatchGrid,
): Uint8Array {
  const { left, top, width, height } = cut
    ? {
        left: box.left + (cut.left * box.width) / cut.size.width,
        top: box.top + (cut.top * box.height) / cut.size.height,
        width: (target.width * box.width) / cut.size.width,
        height: (target.height * box.height) / cut.size.height,
      }
    : box
  const [across, down] = [mask.width / image.width, mask.height / image.height]
  const columns = shares(mask.width, left * across, width * across, w)
  const rows = shares(mask.height, top * down, height * down, h)
  const area = (width * across * height * down) / (h * w)
  const masked = new Float64Array(h * w)
  for (const [r, lines] of rows.entries())
    for (const [c, points] of columns.entries()) {
      let sum = 0
      for (const y of lines)
        for (const x of points) if (mask.indices[y.at * mask.width + x.at] !== 0) sum += y.share * x.share
      masked[r * w + (flip ? w - 1 - c : c)] = sum / area
    }
  const hidden = Uint8Array.from(masked, (share) => (share > HALF ? 1 : 0))
  if (!hidden.includes(0)) {
    const least = masked.reduce((a, b) => Math.min(a, b))
    hidden[masked.findIndex((share) => share < least + 1e-9)] = 0
  }
  return hidden
}

/** The mask of a file, or the reason why it cannot be that of the image. */
export async function readMaskOf(path: string, image: Size, maxPixels: number): Promise<IndexMask | string> {
  try {
    const mask = await readIndexMask(path, maxPixels)
    if (hasShapeOf(mask, image)) return mask
    return `its mask ${path} is ${mask.width} × ${mask.height}, and the image ${image.width} × ${image.height}: expected its shape`
  } catch (error) {
    return `its mask ${path}: ${reasonOf(error)}`
  }
}
