/** Images of coloured shapes with masks of class numbers: 0 ground, 1 box, 2 disc. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { draws } from '../../../src/random/draws.ts'
import { rawPng } from '../decode/make-png.ts'

const colours = [
  [40, 120, 60],
  [200, 60, 40],
  [60, 80, 210],
] as const

export interface MaskedSet {
  readonly dir: string
  readonly count: number
  readonly width: number
  readonly height: number
  readonly seed: number
}

/** Writes `dir/images` (PNG) and `dir/masks` (palettes of four bits, of eight, and grey, in turn). */
export async function writeMaskedSet({ dir, count, width, height, seed }: MaskedSet): Promise<void> {
  for (const name of ['images', 'masks']) mkdirSync(join(dir, name), { recursive: true })
  for (let i = 0; i < count; i++) {
    const next = draws({ seed, stream: 'masked', epoch: 0, index: i })
    const at = (side: number) => next.below(side)
    const side = Math.min(width, height)
    const box = { x: at(width), y: at(height), half: side / 8 + at(side / 4) }
    const disc = { x: at(width), y: at(height), radius: side / 8 + at(side / 4) }
    const labelOf = (x: number, y: number) => {
      if ((x - disc.x) ** 2 + (y - disc.y) ** 2 < disc.radius ** 2) return 2
      return Math.abs(x - box.x) < box.half && Math.abs(y - box.y) < box.half ? 1 : 0
    }
    const values = Array.from({ length: width * height }, (_, p) => labelOf(p % width, Math.floor(p / width)))
    const rgb = Buffer.from(values.flatMap((label) => colours[label]!.map((c) => c + next.below(30) - 15)))
    const name = String(i).padStart(3, '0')
    await sharp(rgb, { raw: { width, height, channels: 3 } }).toFile(join(dir, 'images', `${name}.png`))
    const kind = (
      [
        [3, 4],
        [3, 8],
        [0, 8],
      ] as const
    )[i % 3]!
    writeFileSync(
      join(dir, 'masks', `${name}.png`),
      rawPng({ width, height, colour: kind[0], depth: kind[1], values }),
    )
  }
}
