/**
 * Position tables of other programs: fixed sines and cosines, which are computed here, or learned ones. A table has a row for each place,
 * and mostly one before them for cls, which is folded into the cls token.
 */

import { type FloatArray, largestDifference } from '../checkpoint/arrays.ts'
import { SherdError } from '../errors.ts'
import { type Grid, tokenCount } from '../token/grid.ts'
import { sineCosinePositions } from '../token/position.ts'

/** Bounds for tables that were computed in float32 and float16. */
const TOLERANCE = { float32: 1e-4, half: 2e-3 } as const

export interface ForeignPositions {
  readonly grid: Grid
  readonly kind: 'fixed' | 'learned'
  /** [N, D] */
  readonly table: Float32Array
  /** [D] of cls; null if missing or zero. */
  readonly cls: Float32Array | null
  /** Largest difference from sines and cosines. */
  readonly difference: number
}

/** Of an image of 4096 × 4096 pixels in patches of 16. */
const MAX_PLACES = 65_536

function gridsOf(count: number): Grid[] {
  const grids: Grid[] = []
  for (let h = 1; h <= count; h++) if (count % h === 0) grids.push({ h, w: count / h })
  return grids.sort((a, b) => Math.abs(a.h - a.w) - Math.abs(b.h - b.w)) // most square first
}

export interface PositionHints {
  /** The grid, if a configuration states it. */
  readonly grid: Grid | null
  /** Whether the values were stored in 16 bits. */
  readonly half: boolean
  /** False: no row is of cls. Default: the number of rows shows it. */
  readonly cls?: boolean
}

/**
 * Analyses a table [1, N or 1 + N, D]. Without a hint the grid is square, or the one whose sines and cosines fit. Throws `CHECKPOINT` if
 * no grid has that many places.
 */
export function examinePositions({ shape, data }: FloatArray, hints: PositionHints): ForeignPositions {
  const [one, rows, width] = shape.length === 2 ? [1, ...shape] : shape
  if (one !== 1 || shape.length < 2 || shape.length > 3 || !rows || !width)
    throw new SherdError('CHECKPOINT', `its positions are [${shape.join(', ')}], expected [1, places, width]`)
  if (rows > MAX_PLACES + 1)
    throw new SherdError('CHECKPOINT', `it has positions for ${rows} tokens: at most ${MAX_PLACES} are read`)
  const isSquare = (n: number) => n > 0 && Number.isInteger(Math.sqrt(n))
  const places = hints.grid && tokenCount(hints.grid)
  const hasCls = hints.cls !== false && (places === null ? !isSquare(rows) : rows !== places)
  const count = hasCls ? rows - 1 : rows
  if (places !== null && places !== count)
    throw new SherdError(
      'CHECKPOINT',
      `it has positions for ${rows} tokens, expected ${places} places (${hints.grid!.h} × ${hints.grid!.w})${hints.cls === false ? '' : ', with or without one for cls'}`,
    )
  const table = hasCls ? data.subarray(width) : data
  const cls = hasCls && data.subarray(0, width).some((value) => value !== 0) ? data.slice(0, width) : null
  const tolerance = TOLERANCE[hints.half ? 'half' : 'float32']
  const canBeFixed = width % 4 === 0
  const compared = (hints.grid ? [hints.grid] : gridsOf(count)).map((grid) => ({
    grid,
    difference: canBeFixed
      ? largestDifference(table, sineCosinePositions(grid, width))
      : Number.POSITIVE_INFINITY,
  }))
  const fixed = compared.find(({ difference }) => difference <= tolerance)
  if (fixed) return { ...fixed, kind: 'fixed', table, cls }
  if (!hints.grid && !isSquare(count))
    throw new SherdError(
      'CHECKPOINT',
      `its learned positions of ${count} places are no square: say it with --grid ROWSxCOLUMNS`,
    )
  return { ...compared[0]!, kind: 'learned', table, cls }
}
