/** The pictures of docs/look.md: what an encoder sees in generated scenes that it has not been trained on. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { lookAt } from '../../src/look/look.ts'
import { drawAttention, drawFeatures, drawNearest } from '../../src/look/pictures.ts'
import { tilesOfSamples } from '../../src/picture/sample-tiles.ts'
import type { Exhibit } from '../../src/run/pictures.ts'
import { paintScene, type SceneName } from '../../src/sample-data/scenes.ts'
import type { FrozenEncoder } from '../../src/weights/frozen-encoder.ts'

/** `sherd sample-data` has 0. */
const SEED = 7

const shown: readonly (readonly [scene: SceneName, index: number])[] = [
  ['spheres', 1],
  ['spheres', 3],
  ['branches', 2],
  ['bricks', 1],
]

function scenes(side: number): Exhibit {
  const images = shown.map(([scene, index]) => paintScene({ scene, seed: SEED, index, size: side }))
  const pixels = new Uint8Array(images.reduce((sum, { length }) => sum + length, 0))
  for (const [i, image] of images.entries()) pixels.set(image, i * image.length)
  return {
    ...{ pixels, shape: [images.length, side, side, 3], indices: images.map((_, i) => i) },
    names: shown.map(([scene, index]) => `${scene} ${index}`),
  }
}

/** Few colours: a third of the size. */
const small = (png: Buffer) => sharp(png).png({ palette: true, effort: 10, quality: 90 }).toBuffer()

/** Writes the pictures of an encoder for RGB images of this size; the same encoder gives the same bytes. Returns their names with their bytes. */
export async function writeDocPictures(
  encoder: FrozenEncoder,
  out: string,
  patch: readonly [row: number, column: number],
): Promise<[name: string, bytes: number][]> {
  const exhibit = scenes(encoder.dimensions.imageSize[0])
  const look = await lookAt(encoder, exhibit, { patch })
  const tiles = tilesOfSamples(exhibit, null)
  const made = {
    'look-attention.png': await drawAttention(look, look.images[0]!, tiles[0]!),
    'look-features.png': await drawFeatures(look, tiles),
    'look-nearest.png': await drawNearest(look, tiles),
  }
  const files: [string, number][] = []
  for (const [name, png] of Object.entries(made)) {
    const bytes = await small(png)
    writeFileSync(join(out, name), bytes)
    files.push([name, bytes.length])
  }
  return files
}
