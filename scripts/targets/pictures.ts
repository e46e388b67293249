/**
 * Pictures of every target, of generated scenes, for docs/images:
 *   node dist/scripts/targets/pictures.js MODEL TOKENIZER [OUT]
 * MODEL: the encoder whose features are shown; those in the docs are of the row "normalised" of `npm run experiment targets`. TOKENIZER: that of
 * 150 steps of 64 images of the preset vq-pixels-tiny-cifar10.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { lookAt } from '../../src/look/look.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { packageRoot } from '../../src/package-root.ts'
import { glyphTile, strokesOf } from '../../src/picture/glyphs.ts'
import { scaled } from '../../src/picture/painted.ts'
import { codeColour } from '../../src/picture/shown-tiles.ts'
import { type Tile, tileOf } from '../../src/picture/tile.ts'
import { drawGrid } from '../../src/picture/tile-grid.ts'
import { toView } from '../../src/prepare/normalize.ts'
import type { Exhibit } from '../../src/run/pictures.ts'
import { paintScene, type SceneName } from '../../src/sample-data/scenes.ts'
import { gradientHistograms } from '../../src/target/gradient-histograms.ts'
import { pixelTarget } from '../../src/target/pixels.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { permute, toDtype } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor, toFloats } from '../../src/tensor/tensor.ts'
import { patchify, unpatchify } from '../../src/token/patchify.ts'
import type { FrozenEncoder } from '../../src/weights/frozen-encoder.ts'
import { openTokenizer } from '../../src/weights/frozen-tokenizer.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'

/** `sherd sample-data` has 0. */
const SEED = 7
const shown: readonly (readonly [scene: SceneName, index: number])[] = [
  ['spheres', 1],
  ['branches', 2],
  ['bricks', 1],
]
/** Pixels: of a tile, of a patch, and of a cell of a histogram. */
const [SIDE, PATCH, CELL] = [192, 24, 12]
const BINS = 9
/** Deviations that a picture of normalised pixels goes up and down from grey. */
const REACH = 2
/** Patches of a side of the features, more than in training, so that they are not a few squares. */
const FINE = 16

function scenes(side: number): Exhibit {
  const images = shown.map(([scene, index]) => paintScene({ scene, seed: SEED, index, size: side }))
  const pixels = new Uint8Array(images.reduce((sum, { length }) => sum + length, 0))
  for (const [i, image] of images.entries()) pixels.set(image, i * image.length)
  return {
    ...{ pixels, shape: [images.length, side, side, 3], indices: images.map((_, i) => i) },
    names: shown.map(([scene, index]) => `${scene} ${index}`),
  }
}

/** The target's values of each image as tiles. */
function pixelTiles({ pixels, shape }: Exhibit, normalize: boolean): Tile[] {
  const [B, height, width] = shape as readonly [number, number, number, number]
  return scope(() => {
    const values = tensor(
      Float32Array.from(pixels, (byte) => byte / 255),
      [B, height, width, 3],
    )
    const patches = patchify(permute(values, [0, 3, 1, 2]), PATCH)
    const target = pixelTarget(patches, { normalize })
    const images = toFloats(
      unpatchify(target, { patchSize: PATCH, grid: { h: height / PATCH, w: width / PATCH } }),
    )
    const seen = normalize ? images.map((value) => 0.5 + value / (2 * REACH)) : images
    const each = 3 * height * width
    return Array.from({ length: B }, (_, b) =>
      tileOf(seen.slice(b * each, (b + 1) * each), { channels: 3, height, width }),
    )
  })
}

function glyphTiles({ pixels, shape }: Exhibit): Tile[] {
  const [B, height, width] = shape as readonly [number, number, number, number]
  const grid = [height / PATCH, width / PATCH] as const
  const of = { grid, cells: [PATCH / CELL, PATCH / CELL], channels: 3, bins: BINS } as const
  const all = scope(() => {
    const values = tensor(
      Float32Array.from(pixels, (byte) => byte / 255),
      [B, height, width, 3],
    )
    return toFloats(
      gradientHistograms(permute(values, [0, 3, 1, 2]), {
        ...{ patchSize: [PATCH, PATCH], cellSize: CELL, bins: BINS, gaussianWindow: 0 },
      }),
    )
  })
  const each = all.length / B
  return Array.from({ length: B }, (_, b) =>
    glyphTile(strokesOf(all.subarray(b * each, (b + 1) * each), of), of, CELL),
  )
}

async function featureTiles(encoder: FrozenEncoder): Promise<Tile[]> {
  const { images, grid } = await lookAt(encoder, scenes(encoder.dimensions.imageSize[0]))
  return images.map(({ colours }) =>
    scaled({ width: grid.w, height: grid.h, channels: 3, pixels: colours }, SIDE, SIDE),
  )
}

/** Codes as colours, and what they are decoded to. */
async function codeTiles(model: string): Promise<{ codes: Tile[]; decoded: Tile[] }> {
  const { config, objective, parameters, statistics, device } = await openTokenizer({ model, device: 'cpu' })
  const { h, w } = objective.layout.grid
  const { imageSize } = config.model
  const exhibit = scenes(typeof imageSize === 'number' ? imageSize : imageSize[0])
  const [weights, { mean, std }] = [weightsOf(parameters), statistics]
  const [B] = exhibit.shape
  return noGrad(() =>
    scope(() => {
      const codes = objective.encode(toView(exhibit, statistics, device), weights)
      const images = objective.decode(codes, weights)
      const [, channels, height, width] = images.shape as readonly [number, number, number, number]
      const area = height * width
      const values = toFloats(images).map((value, i) => {
        const c = Math.floor(i / area) % channels
        return value * std[c]! + mean[c]!
      })
      const named = toFloats(toDtype(codes, 'float32'))
      const large = (tile: Tile) => scaled(tile, SIDE, SIDE)
      const each = (b: number, of: number) => [b * of, (b + 1) * of] as const
      return {
        codes: Array.from({ length: B }, (_, b) => {
          const own = [...named.subarray(...each(b, h * w))]
          const pixels = Uint8Array.from(own.flatMap((code) => [...codeColour(code)]))
          return large({ width: w, height: h, channels: 3, pixels })
        }),
        decoded: Array.from({ length: B }, (_, b) =>
          large(tileOf(values.slice(...each(b, channels * area)), { channels, height, width })),
        ),
      }
    }),
  )
}

const { positionals } = parseArgs({ allowPositionals: true })
const [model, tokenizer, out = join(packageRoot(), 'docs/images')] = positionals
if (model && tokenizer) {
  mkdirSync(out, { recursive: true })
  const exhibit = scenes(SIDE)
  const own = await openEncoder({ model, device: 'cpu' })
  const [tall, wide] = own.dimensions.patchSize
  const encoder = await openEncoder({ model, device: 'cpu', imageSize: [FINE * tall, FINE * wide] })
  const { codes, decoded } = await codeTiles(tokenizer)
  const columns: readonly (readonly [title: string, subtitle: string, tiles: readonly Tile[]])[] = [
    ['pixels', 'target.normalize=false', pixelTiles(exhibit, false)],
    ['normalised pixels', 'the default', pixelTiles(exhibit, true)],
    ['histograms of gradients', 'target.kind=hog', glyphTiles(exhibit)],
    ['features', 'target.kind=features', await featureTiles(encoder)],
    ['codes', 'target.kind=codes', codes],
    ['codes, decoded', 'what a tokenizer of pixels keeps', decoded],
  ]
  const png = await drawGrid({
    columns: columns.map(([title, subtitle]) => ({ title, ...(subtitle && { subtitle }) })),
    rows: exhibit.names.map((_, row) => columns.map(([, , tiles]) => tiles[row]!)),
  })
  const bytes = await sharp(png).png({ palette: true, effort: 10, quality: 90 }).toBuffer()
  writeFileSync(join(out, 'targets.png'), bytes)
  console.log(`${join(out, 'targets.png')}: ${Math.round(bytes.length / 1000)} kB`)
} else {
  console.error('Which models? node dist/scripts/targets/pictures.js MODEL TOKENIZER [OUT]')
  process.exitCode = 2
}
