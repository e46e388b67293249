/** JPEG files of 500 × 375 pixels, the common size of ImageNet, made of the built-in scenes. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { paintScene, sceneNames } from '../src/sample-data/scenes.ts'

/** Writes `count` photos into a new temporary folder and returns it. */
export async function writePhotos(count: number): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'sherd-bench-'))
  const size = 500
  for (let index = 0; index < count; index++) {
    const scene = sceneNames[index % sceneNames.length]!
    const pixels = paintScene({ scene, seed: 1, index, size })
    await sharp(pixels, { raw: { width: size, height: size, channels: 3 } })
      .extract({ left: 0, top: 62, width: size, height: 375 })
      .jpeg({ quality: 90 })
      .toFile(join(dir, `${String(index).padStart(3, '0')}.jpg`))
  }
  return dir
}
