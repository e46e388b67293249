/** The patches that a stroke crosses. Pointers report a few points a second, and a stroke must have no gaps. */
import type { Grid } from '../../src/token/grid.ts'

/** The patch at a place of a picture, both in [0, 1) of its width and height; places outside count as its edge. */
export function patchAt({ h, w }: Grid, x: number, y: number): number {
  const inside = (at: number, count: number) => Math.min(count - 1, Math.max(0, Math.floor(at * count)))
  return inside(y, h) * w + inside(x, w)
}

/** All patches on the straight line from one to another, both included (Bresenham 1965). */
export function patchesBetween({ w }: Grid, from: number, to: number): number[] {
  let [x, y] = [from % w, Math.floor(from / w)]
  const [endX, endY] = [to % w, Math.floor(to / w)]
  const [spanX, spanY] = [Math.abs(endX - x), -Math.abs(endY - y)]
  let error = spanX + spanY
  const patches = [y * w + x]
  while (x !== endX || y !== endY) {
    const twice = 2 * error
    if (twice >= spanY) {
      error += spanY
      x += Math.sign(endX - x)
    }
    if (twice <= spanX) {
      error += spanX
      y += Math.sign(endY - y)
    }
    patches.push(y * w + x)
  }
  return patches
}
