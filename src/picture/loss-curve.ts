/** The loss of a run over its steps: every logged value, a running median, and the loss where nothing was learned as a baseline. */
import { SherdError } from '../errors.ts'
import * as plot from './plot.ts'
import { drawSvg, encodePng, svgDocument } from './render.ts'
import { finitePoints, type Point, runningMedian, thin } from './series.ts'
import { textElement, wrapText } from './text.ts'

export interface LossPoint {
  readonly step: number
  readonly loss: number
  readonly learningRate?: number
}

export interface LossCurve {
  readonly points: readonly LossPoint[]
  readonly title?: string
  /** The loss where nothing was learned; drawn as a dashed line. */
  readonly baseline?: number
  /** What has that loss. */
  readonly baselineOf?: string | undefined
}

const WIDTH = 900
const HEIGHT = 500
const TITLE = { size: 17, bold: true, lineHeight: 24, fill: '#111827' }
const LEAST_SMOOTHED = 10

const strokes = {
  raw: { color: '#93c5fd', width: 1.25 },
  main: { color: '#1d4ed8', width: 2.5 },
  rate: { color: '#f2b866', width: 1.25 },
}
const RATE_TEXT = '#b45309'

/** Draws the curve, 900 × 500. Non-finite points are omitted, and their number is stated. Throws `VALUE` if no point is finite. */
export async function drawLossCurve(curve: LossCurve): Promise<{ svg: string; png: Buffer }> {
  const { points, title, baseline, baselineOf = 'predicting the mean' } = curve
  const losses = finitePoints(points.map(({ step, loss }) => ({ x: step, y: loss })))
  if (losses.length === 0) {
    throw new SherdError(
      'VALUE',
      `drawLossCurve: expected at least one point with a finite loss, got ${points.length} points without one`,
    )
  }
  const rates = finitePoints(points.map((p) => ({ x: p.step, y: p.learningRate ?? Number.NaN })))

  const titleLines = title ? await wrapText(title, TITLE, WIDTH - 100) : []
  const legendTop = 18 + titleLines.length * TITLE.lineHeight
  const vertical = { top: legendTop + 36, bottom: HEIGHT - 56 }
  const y = plot.verticalScale(lossDomain(losses, baseline), vertical)
  const frame: plot.Frame = {
    ...vertical,
    left: Math.max(72, 44 + (await plot.tickWidth(y))),
    right: WIDTH - (rates.length > 0 ? 76 : 28),
  }
  const x = plot.horizontalScale(stepDomain(losses), frame)
  const columns = frame.right - frame.left

  const entries: plot.LegendEntry[] = []
  const curves: string[] = []
  const add = (
    label: string,
    drawn: readonly Point[],
    look: { stroke: plot.Stroke; y: plot.Scale; smooth?: boolean },
  ) => {
    entries.push({ label, stroke: look.stroke })
    curves.push(plot.curve(drawn, { x, ...look }))
  }
  if (losses.length < LEAST_SMOOTHED) add('loss', losses, { stroke: strokes.main, y })
  else {
    // About a fortieth of the series, odd.
    const window = Math.max(5, 2 * Math.round(losses.length / 80) + 1)
    const median = runningMedian(losses, { window, count: 240 })
    add('loss', thin(losses, columns), { stroke: strokes.raw, y })
    add(`running median of ${plot.counted(window)} points`, median, { stroke: strokes.main, y, smooth: true })
  }
  const rateLabels: string[] = []
  if (rates.length > 0) {
    const shown = thin(rates, columns)
    const rateScale = plot.verticalScale([0, Math.max(...shown.map((p) => p.y)) || 1], frame)
    rateLabels.push(...plot.tickLabels(rateScale, frame.right + 8, { fill: RATE_TEXT, anchor: 'start' }))
    add('learning rate (right axis)', shown, { stroke: strokes.rate, y: rateScale })
    curves.unshift(curves.pop()!) // drawn behind the loss
  }

  const svg = svgDocument(WIDTH, HEIGHT, [
    plot.frameClip(frame),
    ...titleLines.map((text, i) =>
      textElement({ ...TITLE, text, x: frame.left, y: 34 + i * TITLE.lineHeight }),
    ),
    ...(await plot.legend(entries, frame.left, legendTop + 14)),
    ...plot.axes(frame, { x, y, xName: 'step', yName: 'loss' }),
    ...rateLabels,
    ...curves,
    ...(baseline === undefined ? [] : plot.ruleAt(baseline, baselineOf, { y, frame })),
    textElement({
      ...plot.plotText,
      text: notes(points.length - losses.length, losses.filter((p) => p.y > y.domain()[1]!).length),
      x: frame.right,
      y: HEIGHT - 14,
      anchor: 'end',
    }),
  ])
  return { svg, png: await encodePng(await drawSvg(svg)) }
}

function stepDomain(losses: readonly Point[]): [number, number] {
  const [first, last] = [losses[0]!.x, losses.at(-1)!.x]
  return first === last ? [first - 1, first + 1] : [first, last]
}

/** From the lowest loss to the 99.5th percentile, so that a spike does not flatten the curve. */
function lossDomain(losses: readonly Point[], baseline: number | undefined): [number, number] {
  const sorted = losses.map((p) => p.y).sort((a, b) => a - b)
  const high = sorted[Math.ceil(0.995 * (sorted.length - 1))]!
  const ends = baseline === undefined ? [sorted[0]!, high] : [sorted[0]!, high, baseline]
  const [low, top] = [Math.min(...ends), Math.max(...ends)]
  const padding = 0.04 * (top - low) || 0.1 * Math.abs(top) || 0.1
  return [low - padding, top + padding]
}

const notes = (dropped: number, above: number) =>
  [
    ...(dropped > 0 ? [`${plot.counted(dropped)} not finite, left out`] : []),
    ...(above > 0 ? [`${plot.counted(above)} above the frame`] : []),
  ].join('; ')
