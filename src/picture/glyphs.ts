/**
 * Histograms of gradients as strokes (as Dalal and Triggs 2005 show them): in each cell a stroke for each direction, along the edge that such
 * gradients make, as bright as its share. Cells have unit length, so that a faint edge looks as a strong one: that is what the target asks for.
 */
import { SherdError } from '../errors.ts'
import type { Tile } from './tile.ts'

export interface GlyphShape {
  /** Rows and columns of patches. */
  readonly grid: readonly [number, number]
  /** Rows and columns of cells in a patch. */
  readonly cells: readonly [number, number]
  readonly channels: number
  /** Directions of half a turn. */
  readonly bins: number
}

export interface Stroke {
  /** The row and column of its cell in the whole image. */
  readonly row: number
  readonly column: number
  /** Its direction, to the right and down, of length 1. */
  readonly along: readonly [x: number, y: number]
  /** 0 to 1: the mean over channels. */
  readonly strength: number
}

/** Strokes of what `gradientHistograms` gives for one image, [N, channels · bins · u · v]; what is not above zero has none. */
export function strokesOf(histograms: ArrayLike<number>, shape: GlyphShape): Stroke[] {
  const { grid, cells, channels, bins } = shape
  const [rows, columns] = grid
  const [u, v] = cells
  const width = channels * bins * u * v
  if (histograms.length !== rows * columns * width)
    throw new SherdError(
      'SHAPE',
      `strokesOf: expected ${rows} × ${columns} patches of ${width} numbers, got ${histograms.length} numbers`,
    )
  const strokes: Stroke[] = []
  for (let row = 0; row < rows * u; row++)
    for (let column = 0; column < columns * v; column++) {
      const patch = Math.floor(row / u) * columns + Math.floor(column / v)
      for (let bin = 0; bin < bins; bin++) {
        let sum = 0
        for (let c = 0; c < channels; c++) {
          const at = ((c * bins + bin) * u + (row % u)) * v + (column % v)
          sum += Math.min(1, Math.max(0, histograms[patch * width + at]!))
        }
        // The middle of the bin, counted from the vertical; the edge is across the gradient (sin, cos).
        const turn = ((bin + 0.5) * Math.PI) / bins
        if (sum > 0)
          strokes.push({
            ...{ row, column, strength: sum / channels },
            along: [Math.cos(turn), -Math.sin(turn)],
          })
      }
    }
  return strokes
}

/** Half the length of a stroke, of its cell. */
const REACH = 0.42
/** Half the width of a stroke, in pixels. */
const HALF = 0.6

/** White strokes on black, each cell `side` pixels wide and high; of strokes that cross, the brighter one is seen. */
export function glyphTile(
  strokes: readonly Stroke[],
  { grid, cells }: Pick<GlyphShape, 'grid' | 'cells'>,
  side: number,
): Tile {
  const [height, width] = [grid[0] * cells[0] * side, grid[1] * cells[1] * side]
  const pixels = new Uint8Array(width * height)
  const middle = (side - 1) / 2
  for (const { row, column, along, strength } of strokes)
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++) {
        const [dx, dy] = [x - middle, y - middle]
        const beyond = Math.max(0, Math.abs(dx * along[0] + dy * along[1]) - REACH * side)
        const beside = Math.abs(dx * along[1] - dy * along[0])
        const cover = Math.min(1, Math.max(0, HALF + 0.5 - Math.hypot(beyond, beside)))
        const at = (row * side + y) * width + column * side + x
        pixels[at] = Math.max(pixels[at]!, Math.round(255 * strength * cover))
      }
  return { width, height, channels: 1, pixels }
}
