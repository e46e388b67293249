// Labelled images whose classes are colours.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { draws } from '../../src/random/draws.ts'
import { workFolder } from './tiny.ts'

/** Images of one colour for each of three classes, with noise; `isShuffled` deals the colours out at random. */
export async function colourFolder(count: number, seed: number, isShuffled = false): Promise<string> {
  const dir = await workFolder()
  const means = [
    [200, 60, 60],
    [60, 200, 60],
    [60, 60, 200],
  ]
  for (let i = 0; i < count; i++) {
    const next = draws({ seed, stream: 'colour', epoch: 0, index: i })
    const colour = means[isShuffled ? next.below(3) : i % 3]!
    const pixels = Uint8Array.from({ length: 16 * 16 * 3 }, (_, j) => colour[j % 3]! + next.below(40))
    const folder = join(dir, `class-${i % 3}`)
    mkdirSync(folder, { recursive: true })
    await sharp(pixels, { raw: { width: 16, height: 16, channels: 3 } })
      .png()
      .toFile(join(folder, `${i}.png`))
  }
  return dir
}
