/** Prepares long series for drawing: thins them keeping extremes, and smooths by a running median. */

export interface Point {
  readonly x: number
  readonly y: number
}

/** The points whose x and y are finite, by ascending x. Points of the same x keep their order. */
export function finitePoints(points: readonly Point[]): Point[] {
  return points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)).sort((a, b) => a.x - b.x)
}

/**
 * Keeps the lowest and the highest point of each of `columns` equal spans of x, so that a line drawn at one column per pixel looks
 * the same. Short series are returned unchanged. `points` are sorted by x.
 */
export function thin(points: readonly Point[], columns: number): readonly Point[] {
  const [first, last] = [points[0], points.at(-1)]
  if (!first || !last || points.length <= 2 * columns) return points
  const span = last.x - first.x || 1
  const column = ({ x }: Point) => Math.min(columns - 1, Math.floor(((x - first.x) / span) * columns))
  const kept: Point[] = []
  for (let start = 0, end = 0; start < points.length; start = end) {
    let [low, high] = [start, start]
    for (end = start; end < points.length && column(points[end]!) === column(points[start]!); end++) {
      if (points[end]!.y < points[low]!.y) low = end
      if (points[end]!.y > points[high]!.y) high = end
    }
    for (const i of new Set([Math.min(low, high), Math.max(low, high)])) kept.push(points[i]!)
  }
  return kept
}

/**
 * The median of the `window` points around each of at most `count` evenly spaced points; the window is truncated at the ends.
 * `points` are sorted by x, `window` is odd.
 */
export function runningMedian(
  points: readonly Point[],
  { window, count }: { window: number; count: number },
): Point[] {
  const half = (window - 1) / 2
  const samples = Math.min(count, points.length)
  return Array.from({ length: samples }, (_, k) => {
    const i = samples === 1 ? 0 : Math.round((k * (points.length - 1)) / (samples - 1))
    const around = points.slice(Math.max(0, i - half), i + half + 1).map(({ y }) => y)
    return { x: points[i]!.x, y: median(around) }
  })
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
