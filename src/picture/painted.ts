/** Tiles whose patches have colours, patch by patch, as they are: nothing is smoothed. */
import type { Grid } from '../token/grid.ts'
import type { Tile } from './tile.ts'

/** From no error to the greatest: dark blue, violet, orange, pale yellow. */
const heat: readonly (readonly [number, number, number])[] = [
  [12, 12, 60],
  [130, 30, 120],
  [245, 125, 20],
  [255, 250, 190],
]
export const heatColour = (share: number): readonly number[] => {
  const at = Math.min(1, Math.max(0, share)) * (heat.length - 1)
  const from = Math.min(Math.floor(at), heat.length - 2)
  return heat[from]!.map((value, c) => Math.round(value + (at - from) * (heat[from + 1]![c]! - value)))
}

/** The image at another size, in RGB: means of the pixels that fall on one, or the nearest. */
export function scaled({ width, height, channels, pixels }: Tile, W: number, H: number): Tile {
  const made = new Uint8Array(3 * W * H)
  const range = (at: number, of: number, from: number) => {
    const first = Math.floor((at * from) / of)
    return [first, Math.max(first + 1, Math.floor(((at + 1) * from) / of))] as const
  }
  for (let y = 0; y < H; y++)
    for (let x = 0; x < W; x++) {
      const [[top, bottom], [left, right]] = [range(y, H, height), range(x, W, width)]
      for (let c = 0; c < 3; c++) {
        let sum = 0
        for (let row = top; row < bottom; row++)
          for (let column = left; column < right; column++)
            sum += pixels[(row * width + column) * channels + (channels === 3 ? c : 0)]!
        made[3 * (y * W + x) + c] = Math.round(sum / ((bottom - top) * (right - left)))
      }
    }
  return { width: W, height: H, channels: 3, pixels: made }
}

/** A colour for each patch; `image`: how much of the image shines through, in grey. */
export function painted(
  { width, height, pixels }: Tile,
  { h, w }: Grid,
  colourOf: (place: number) => readonly number[],
  image = 0,
): Tile {
  const made = new Uint8Array(pixels.length)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const i = 3 * (y * width + x)
      const grey = (pixels[i]! + pixels[i + 1]! + pixels[i + 2]!) / 3
      const colour = colourOf(Math.floor((y * h) / height) * w + Math.floor((x * w) / width))
      for (let c = 0; c < 3; c++) made[i + c] = Math.round(image * grey + (1 - image) * colour[c]!)
    }
  return { width, height, channels: 3, pixels: made }
}

const DIM = 0.35 // of patches without a colour

/** A patch without a colour (null) is in dim grey. */
export function paintedPatches(
  tile: Tile,
  { h, w }: Grid,
  colourOf: (place: number) => readonly number[] | null,
): Tile {
  const { width, height, channels, pixels } = tile
  const made = new Uint8Array(3 * width * height)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const i = y * width + x
      const colour = colourOf(Math.floor((y * h) / height) * w + Math.floor((x * w) / width))
      made.set(colour ?? Array(3).fill(dimGrey(pixels.subarray(i * channels, (i + 1) * channels))), 3 * i)
    }
  return { width, height, channels: 3, pixels: made }
}

const dimGrey = (pixel: Uint8Array) => Math.round((DIM * pixel.reduce((a, b) => a + b, 0)) / pixel.length)
