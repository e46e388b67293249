/**
 * The loss of a run over its steps: every logged value, a running median, and the loss where nothing was learned as a baseline; with probes,
 * what the encoder was good for, on an axis of its own.
 */
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

/** How many of the test images a probe named rightly. Shares. */
export interface ProbePoint {
  readonly step: number
  readonly knn: number
  readonly linear: number
  readonly chance: number
}

export interface LossCurve {
  readonly points: readonly LossPoint[]
  /** How many values the points stand for; by default their number. */
  readonly count?: number
  readonly probes?: readonly ProbePoint[]
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
  linear: { color: '#047857', width: 2 },
  knn: { color: '#34d399', width: 2 },
  chance: { color: '#047857', width: 1, dashes: '2 4' },
}
const RATE_TEXT = '#b45309'
const PROBE_TEXT = '#047857'
const LEGEND_LINE = 20
const MOST_DOTS = 60

/** Draws the curve, 900 × 500. Non-finite points are omitted, and their number is stated. Throws `VALUE` if no point is finite. */
export async function drawLossCurve(curve: LossCurve): Promise<{ svg: string; png: Buffer }> {
  const { points, title, baseline, baselineOf = 'predicting the mean', count = points.length } = curve
  const probes = [...(curve.probes ?? [])].sort((a, b) => a.step - b.step)
  const hasProbes = probes.length > 0
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
  const vertical = { top: legendTop + 36 + (hasProbes ? LEGEND_LINE : 0), bottom: HEIGHT - 56 }
  const y = plot.verticalScale(lossDomain(losses, baseline), vertical)
  const frame: plot.Frame = {
    ...vertical,
    left: Math.max(72, 44 + (await plot.tickWidth(y))),
    right: WIDTH - (rates.length > 0 || hasProbes ? 76 : 28),
  }
  const x = plot.horizontalScale(stepDomain(losses, probes), frame)
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
    const values = Math.round((window * count) / points.length)
    add('loss', thin(losses, columns), { stroke: strokes.raw, y })
    add(`running median of ${plot.counted(values)} points`, median, { stroke: strokes.main, y, smooth: true })
  }
  const rightAxis: string[] = []
  if (rates.length > 0) {
    const shown = thin(rates, columns)
    const peak = Math.max(...shown.map((p) => p.y))
    const scale = plot.verticalScale([0, peak || 1], frame)
    const ticks = { fill: RATE_TEXT, anchor: 'start', format: plot.scientific } as const
    if (!hasProbes) rightAxis.push(...plot.tickLabels(scale, frame.right + 8, ticks))
    add(`learning rate (${hasProbes ? `up to ${plot.scientific(peak)}` : 'right axis'})`, shown, {
      stroke: strokes.rate,
      y: scale,
    })
    curves.unshift(curves.pop()!) // drawn behind the loss
  }
  const probed = hasProbes ? probeCurves(probes, { x, frame }) : null
  rightAxis.push(...(probed?.axis ?? []))
  curves.push(...(probed?.curves ?? []))

  const svg = svgDocument(WIDTH, HEIGHT, [
    plot.frameClip(frame),
    ...titleLines.map((text, i) =>
      textElement({ ...TITLE, text, x: frame.left, y: 34 + i * TITLE.lineHeight }),
    ),
    ...(await plot.legend(entries, frame.left, legendTop + 14)),
    ...(probed ? await plot.legend(probed.entries, frame.left, legendTop + 14 + LEGEND_LINE) : []),
    ...plot.axes(frame, { x, y, xName: 'step', yName: 'loss' }),
    ...rightAxis,
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

/** What the probes measured, in per cent on the right axis. */
function probeCurves(probes: readonly ProbePoint[], { x, frame }: { x: plot.Scale; frame: plot.Frame }) {
  const rows = [
    { name: 'linear probe', value: ({ linear }: ProbePoint) => linear, stroke: strokes.linear },
    { name: 'nearest neighbours', value: ({ knn }: ProbePoint) => knn, stroke: strokes.knn },
    { name: 'commonest class', value: ({ chance }: ProbePoint) => chance, stroke: strokes.chance },
  ]
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`
  const series = rows.map(({ value, ...row }) => ({
    ...row,
    points: finitePoints(probes.map((p) => ({ x: p.step, y: 100 * value(p) }))),
  }))
  const y = plot.verticalScale(
    [0, Math.max(1, ...series.flatMap(({ points }) => points.map((p) => p.y)))],
    frame,
  )
  const format = (tick: number) => `${Number(tick.toPrecision(3))} %`
  const last = probes.at(-1)!
  return {
    entries: rows.map(({ name, value, stroke }) => ({ label: `${name} ${percent(value(last))}`, stroke })),
    axis: [
      ...plot.tickLabels(y, frame.right + 8, { fill: PROBE_TEXT, anchor: 'start', format }),
      plot.axisName('test images named rightly', {
        ...frame,
        x: WIDTH - 16,
        isRight: true,
        fill: PROBE_TEXT,
      }),
    ],
    curves: series.map(({ points, stroke }) =>
      points.length > 1 && points.length <= MOST_DOTS && stroke !== strokes.chance
        ? plot.curve(points, { x, y, stroke }) + plot.dots(points, { x, y, stroke })
        : plot.curve(points, { x, y, stroke }),
    ),
  }
}

function stepDomain(losses: readonly Point[], probes: readonly ProbePoint[]): [number, number] {
  const ends = [losses[0]!.x, losses.at(-1)!.x, ...probes.map(({ step }) => step)]
  const [first, last] = [Math.min(...ends), Math.max(...ends)]
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
