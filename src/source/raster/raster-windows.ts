/** Windows of a scene: side by side, the last of each row and column shifted back to fit. */
import { SherdError } from '../../errors.ts'
import type { Box, Size } from '../box.ts'

export type RasterWindow = Box

export interface NamedWindow {
  /** Null: the whole scene. */
  readonly window: RasterWindow | null
  /** `row,column` in windows. */
  readonly name: string | null
}

/** Bounds what a damaged header can claim. */
const MOST = 4_000_000

/** A scene smaller than a window gives one window that does not fit, which its reader reports. */
export function windowsOf({ width, height }: Size, side: number | null): NamedWindow[] {
  if (side === null || width === 0) return [{ window: null, name: null }]
  const rows = Math.ceil(height / side)
  const columns = Math.ceil(width / side)
  if (rows * columns > MOST)
    throw new SherdError(
      'SOURCE',
      `A scene of ${width} x ${height} pixels has ${rows * columns} windows of ${side} x ${side}, and at most ${MOST} are possible. Make the windows larger.`,
    )
  return Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns]
    const left = Math.max(0, Math.min(column * side, width - side))
    const top = Math.max(0, Math.min(row * side, height - side))
    return { window: { left, top, width: side, height: side }, name: `${row},${column}` }
  })
}
