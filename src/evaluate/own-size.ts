/**
 * The class of every pixel of an image at its own size, from the logits of windows of it at the model's: logits are enlarged bilinearly
 * (pixel centres at halves), windows that overlap are averaged with weights that fall towards their edges, and the largest one counts.
 */
import type { Window } from '../prepare/windows.ts'
import type { Box, Size } from '../source/box.ts'

export interface WindowLogits extends Pick<Window, 'box'> {
  /** [classes, height, width] of the model. */
  readonly logits: Float32Array
}

/** Of each pixel of a side: the two places it lies between, the share of the second one, and its weight. */
interface Axis {
  readonly from: number
  readonly low: Int32Array
  readonly high: Int32Array
  readonly share: Float64Array
  readonly weight: Float64Array
}

/** `begin`, `length`: of the box on a side of `whole` pixels; the box is of `places` logits. A lone window reaches beyond its box. */
function axisOf(
  begin: number,
  length: number,
  { whole, places, isLone }: { whole: number; places: number; isLone: boolean },
): Axis {
  const [from, to] = isLone ? [0, whole] : [begin, begin + length]
  const count = to - from
  const axis = {
    ...{ from, low: new Int32Array(count), high: new Int32Array(count) },
    ...{ share: new Float64Array(count), weight: new Float64Array(count).fill(1) },
  }
  for (let i = 0; i < count; i++) {
    const inBox = from + i + 0.5 - begin
    const at = Math.min(places - 1, Math.max(0, (inBox * places) / length - 0.5))
    axis.low[i] = Math.floor(at)
    axis.high[i] = Math.min(places - 1, axis.low[i]! + 1)
    axis.share[i] = at - axis.low[i]!
    if (!isLone) axis.weight[i] = Math.min(inBox, length - inBox) / length
  }
  return axis
}

const axes = ({ left, top, width, height }: Box, size: Size, model: Size, isLone: boolean) => ({
  x: axisOf(left, width, { whole: size.width, places: model.width, isLone: isLone || width === size.width }),
  y: axisOf(top, height, {
    whole: size.height,
    places: model.height,
    isLone: isLone || height === size.height,
  }),
})

export interface OwnSize {
  readonly size: Size
  readonly model: Size
  readonly classes: number
}

/** [height, width]; of equal logits the first class. */
export function classesAtOwnSize(parts: readonly WindowLogits[], of: OwnSize): Uint16Array {
  const lines = classLines(parts, of)
  for (;;) {
    const { done, value } = lines.next()
    if (done) return value
  }
}

/** As `classesAtOwnSize`, with a pause after each line of the image. */
export function* classLines(
  parts: readonly WindowLogits[],
  { size, model, classes }: OwnSize,
): Generator<undefined, Uint16Array> {
  const { width, height } = size
  const [W, area] = [model.width, model.width * model.height]
  const placed = parts.map(({ box, logits }) => ({ logits, ...axes(box, size, model, parts.length === 1) }))
  const best = new Uint16Array(width * height)
  const sums = new Float64Array(classes * width)
  const row = new Float64Array(W)
  for (let line = 0; line < height; line++) {
    sums.fill(0)
    for (const { logits, x, y } of placed) {
      const at = line - y.from
      if (at < 0 || at >= y.low.length) continue
      const [low, high, share, weight] = [y.low[at]! * W, y.high[at]! * W, y.share[at]!, y.weight[at]!]
      for (let c = 0; c < classes; c++) {
        for (let i = 0; i < W; i++) {
          const above = logits[c * area + low + i]!
          row[i] = above + (logits[c * area + high + i]! - above) * share
        }
        const start = c * width + x.from
        for (let i = 0; i < x.low.length; i++) {
          const before = row[x.low[i]!]!
          sums[start + i]! += weight * x.weight[i]! * (before + (row[x.high[i]!]! - before) * x.share[i]!)
        }
      }
    }
    // Weights of all windows are the same for all classes, so the sum is as good as the mean.
    for (let i = 0; i < width; i++) {
      let found = 0
      for (let c = 1; c < classes; c++) if (sums[c * width + i]! > sums[found * width + i]!) found = c
      best[line * width + i] = found
    }
    yield
  }
  return best
}
