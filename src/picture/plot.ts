/** The parts of a line plot in SVG: frame, axes, legend, curves. Scales and curves are d3's. */
import { type ScaleLinear, scaleLinear } from 'd3-scale'
import { curveLinear, curveMonotoneX, line } from 'd3-shape'
import type { Point } from './series.ts'
import { measure, textElement } from './text.ts'

/** The plotting area in pixels. */
export interface Frame {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

export type Scale = ScaleLinear<number, number>

export interface Stroke {
  readonly color: string
  readonly width: number
  /** Lengths of dashes and gaps. */
  readonly dashes?: string
}

export const plotText = { size: 12, fill: '#4b5563' }
const ink = { rule: '#e5e7eb', axis: '#9ca3af' }
const Y_TICKS = 6
const X_TICKS = 8

/** A vertical scale whose ends are round numbers. */
export const verticalScale = (
  domain: readonly [number, number],
  { bottom, top }: Pick<Frame, 'bottom' | 'top'>,
): Scale => scaleLinear(domain, [bottom, top]).nice(Y_TICKS)

export const horizontalScale = (domain: readonly [number, number], { left, right }: Frame): Scale =>
  scaleLinear(domain, [left, right])

/** For `clip-path="url(#frame)"`. */
export const frameClip = ({ left, right, top, bottom }: Frame) =>
  `<defs><clipPath id="frame"><rect x="${left}" y="${top}" width="${right - left}" height="${bottom - top}"/></clipPath></defs>`

/** A line through the points; a dot for a single one. */
export function curve(
  points: readonly Point[],
  { x, y, stroke, smooth = false }: { x: Scale; y: Scale; stroke: Stroke; smooth?: boolean },
): string {
  const [only] = points
  if (only && points.length === 1) {
    return `<circle cx="${x(only.x)}" cy="${y(only.y)}" r="4" fill="${stroke.color}"/>`
  }
  const path = line<Point>()
    .x((p) => x(p.x))
    .y((p) => y(p.y))
    .curve(smooth ? curveMonotoneX : curveLinear)
    .digits(2)
  return `<path d="${path(points)}" fill="none" ${strokeOf(stroke)} stroke-linejoin="round" clip-path="url(#frame)"/>`
}

/** A dot on each point. */
export const dots = (
  points: readonly Point[],
  { x, y, stroke }: { x: Scale; y: Scale; stroke: Stroke },
): string =>
  points.map((p) => `<circle cx="${x(p.x)}" cy="${y(p.y)}" r="3" fill="${stroke.color}"/>`).join('')

const strokeOf = ({ color, width, dashes }: Stroke) =>
  `stroke="${color}" stroke-width="${width}" stroke-linecap="round"${dashes ? ` stroke-dasharray="${dashes}"` : ''}`

/** Labels of a value axis; `format` writes a tick. */
export function tickLabels(
  y: Scale,
  x: number,
  {
    format = y.tickFormat(Y_TICKS),
    ...look
  }: { fill: string; anchor: 'start' | 'end'; format?: (tick: number) => string },
): string[] {
  return y
    .ticks(Y_TICKS)
    .map((tick) => textElement({ ...plotText, ...look, text: format(tick), x, y: y(tick) + 4 }))
}

/** The name of a value axis, upwards on the left and downwards on the right. */
export function axisName(
  text: string,
  {
    x,
    top,
    bottom,
    isRight = false,
    fill = plotText.fill,
  }: { x: number; top: number; bottom: number; isRight?: boolean; fill?: string },
): string {
  const y = (top + bottom) / 2
  const more = `transform="rotate(${isRight ? 90 : -90} ${x} ${y})"`
  return textElement({ ...plotText, fill, text, x, y, anchor: 'middle', more })
}

/** Width of the labels of `y`. */
export async function tickWidth(y: Scale): Promise<number> {
  const format = y.tickFormat(Y_TICKS)
  return Math.max(...(await Promise.all(y.ticks(Y_TICKS).map((tick) => measure(format(tick), plotText)))))
}

/** Rules, ticks and names of both axes; x has integer ticks. */
export function axes(
  { left, right, top, bottom }: Frame,
  { x, y, xName, yName }: { x: Scale; y: Scale; xName: string; yName: string },
): string[] {
  const whole = x.ticks(X_TICKS).filter(Number.isInteger)
  return [
    ...y
      .ticks(Y_TICKS)
      .map(
        (tick) => `<line x1="${left}" x2="${right}" y1="${y(tick)}" y2="${y(tick)}" stroke="${ink.rule}"/>`,
      ),
    ...tickLabels(y, left - 10, { fill: plotText.fill, anchor: 'end' }),
    `<line x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}" stroke="${ink.axis}"/>`,
    ...whole.flatMap((tick) => [
      `<line x1="${x(tick)}" x2="${x(tick)}" y1="${bottom}" y2="${bottom + 5}" stroke="${ink.axis}"/>`,
      textElement({ ...plotText, text: counted(tick), x: x(tick), y: bottom + 20, anchor: 'middle' }),
    ]),
    textElement({ ...plotText, text: xName, x: (left + right) / 2, y: bottom + 42, anchor: 'middle' }),
    axisName(yName, { x: 22, top, bottom }),
  ]
}

/** A dashed line at `value` with its name above its right end. */
export function ruleAt(value: number, name: string, { y, frame }: { y: Scale; frame: Frame }): string[] {
  const { left, right } = frame
  return [
    `<line x1="${left}" x2="${right}" y1="${y(value)}" y2="${y(value)}" stroke="#6b7280" stroke-width="1.25" stroke-dasharray="6 4"/>`,
    textElement({
      ...plotText,
      text: name,
      x: right - 8,
      y: y(value) - 6,
      anchor: 'end',
      more: 'stroke="#fff" stroke-width="4" stroke-linejoin="round" paint-order="stroke"',
    }),
  ]
}

export interface LegendEntry {
  readonly label: string
  readonly stroke: Stroke
}

/** The entries in one line from (left, y). */
export async function legend(entries: readonly LegendEntry[], left: number, y: number): Promise<string[]> {
  const drawn: string[] = []
  let x = left
  for (const { label, stroke } of entries) {
    drawn.push(
      `<line x1="${x}" x2="${x + 24}" y1="${y - 4}" y2="${y - 4}" ${strokeOf(stroke)}/>`,
      textElement({ ...plotText, text: label, x: x + 32, y }),
    )
    x += 32 + (await measure(label, plotText)) + 24
  }
  return drawn
}

/** 12000 → 12,000 */
export const counted = (n: number) => n.toLocaleString('en-US')
/** 0.00015 → 1.5e-4 */
export const scientific = (value: number) =>
  value === 0 ? '0' : Number(value.toPrecision(3)).toExponential()
