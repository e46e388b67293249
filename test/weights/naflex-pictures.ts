/** The pictures of test/reference/naflex.json (scripts/reference/make_naflex.py): files of shared/cases, and PNG of whole-number formulas. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { packageRoot } from '../../src/package-root.ts'

const cases = join(packageRoot(), '../shared/cases')
export const naflexFolder = join(packageRoot(), '../shared/reference/layouts/siglip2-naflex')

interface Expected {
  readonly grid: readonly [h: number, w: number]
  /** Of the bytes [H, W, 3]. */
  readonly pixels: string
  /** By the processors on torchvision and on Pillow. */
  readonly feature: readonly number[]
  readonly pillow: readonly number[]
}
export const reference = JSON.parse(
  readFileSync(join(packageRoot(), 'test/reference/naflex.json'), 'utf8'),
) as {
  readonly made: Readonly<Record<string, readonly [width: number, height: number]>>
  /** By file and the largest number of patches. */
  readonly files: Readonly<Record<string, Readonly<Record<string, Expected>>>>
}

const wave = (u: number) => ((u & 511) < 256 ? u & 255 : 255 - (u & 255))

/** As `picture` there. */
function pictureOf(width: number, height: number): Uint8Array {
  const pixels = new Uint8Array(width * height * 3)
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++, at++)
        pixels[at] = (wave((x * y) >> (4 + c)) + wave(x * (3 + c) + y * (5 - c))) >> 1
  return pixels
}

/** Their paths by name. */
export async function naflexPictures(dir: string): Promise<ReadonlyMap<string, string>> {
  const paths = Object.keys(reference.files).map(async (name) => {
    const size = reference.made[name]
    if (!size) return [name, join(cases, name)] as const
    const path = join(dir, `${name}.png`)
    const [width, height] = size
    await sharp(pictureOf(width, height), { raw: { width, height, channels: 3 } })
      .png({ compressionLevel: 1 })
      .toFile(path)
    return [name, path] as const
  })
  return new Map(await Promise.all(paths))
}
