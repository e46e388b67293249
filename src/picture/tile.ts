/** Tiles: the small images of a picture, as bytes, grey or RGB. */
import { SherdError } from '../errors.ts'

export interface Tile {
  readonly width: number
  readonly height: number
  /** 1 grey, 3 RGB. */
  readonly channels: 1 | 3
  /** [height, width, channels] */
  readonly pixels: Uint8Array
}

const shownBands = (channels: number) => (channels < 3 ? 1 : 3)

/** Which channels a tile shows, if not all: `bands 1–3 of 10 as RGB`. */
export function bandsNote(channels: number): string | null {
  if (channels === 1 || channels === 3) return null
  return channels === 2 ? 'band 1 of 2' : `bands 1–3 of ${channels} as RGB`
}

/**
 * An image [C, H, W] in [0, 1] as a tile: grey for one or two channels, else the first three as RGB. Values are clipped to [0, 1];
 * NaN is black.
 */
export function tileOf(
  values: Float32Array,
  { channels: C, height, width }: { channels: number; height: number; width: number },
): Tile {
  const channels = shownBands(C)
  const area = height * width
  const pixels = new Uint8ClampedArray(area * channels)
  for (let c = 0; c < channels; c++)
    for (let i = 0; i < area; i++) pixels[i * channels + c] = 255 * values[c * area + i]!
  return { width, height, channels, pixels: new Uint8Array(pixels.buffer) }
}

export interface Canvas {
  readonly width: number
  readonly height: number
  /** [height, width, 3] */
  readonly pixels: Uint8Array
}

/** Paints `tile` at (x, y), magnified by `factor`: a whole number, or 1/n for means of n × n pixels. */
export function paintTile(
  canvas: Canvas,
  { tile, x, y, factor }: { tile: Tile; x: number; y: number; factor: number },
): void {
  const { width, height, channels, pixels } = tile
  if (pixels.length !== width * height * channels) {
    throw new SherdError(
      'SHAPE',
      `paintTile: ${width} × ${height} pixels of ${channels} channels are not ${pixels.length} bytes`,
    )
  }
  const n = factor < 1 ? Math.round(1 / factor) : 1
  const mean = (row: number, column: number, c: number) => {
    let sum = 0
    for (let i = 0; i < n * n; i++) {
      const place = (row + Math.floor(i / n)) * width + column + (i % n)
      sum += pixels[place * channels + (channels === 3 ? c : 0)]!
    }
    return Math.round(sum / (n * n))
  }
  for (let row = 0; row < Math.floor(height * factor); row++) {
    for (let column = 0; column < Math.floor(width * factor); column++) {
      const to = ((y + row) * canvas.width + x + column) * 3
      for (let c = 0; c < 3; c++)
        canvas.pixels[to + c] = mean(Math.floor(row / factor), Math.floor(column / factor), c)
    }
  }
}
