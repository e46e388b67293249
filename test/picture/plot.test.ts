import { expect, it } from 'vitest'
import {
  axes,
  curve,
  horizontalScale,
  legend,
  ruleAt,
  scientific,
  tickLabels,
  verticalScale,
} from '../../src/picture/plot.ts'

const frame = { left: 100, right: 300, top: 50, bottom: 150 }
const x = horizontalScale([0, 10], frame)
const y = verticalScale([0, 1], frame)
const stroke = { color: '#123456', width: 2 }

it('maps values to pixels, upwards, from round ends', () => {
  expect(verticalScale([0.013, 0.97], frame).domain()).toEqual([0, 1])
  expect([y(0), y(1), x(0), x(10)]).toEqual([150, 50, 100, 300])
})

it('draws a line, and a lone point as a dot', () => {
  const points = [
    { x: 0, y: 0 },
    { x: 5, y: 1 },
    { x: 10, y: 0.5 },
  ]
  expect(curve(points, { x, y, stroke })).toContain('d="M100,150L200,50L300,100"')
  expect(curve(points.slice(1, 2), { x, y, stroke })).toBe('<circle cx="200" cy="50" r="4" fill="#123456"/>')
})

it('labels whole steps only', () => {
  const text = (elements: string[]) =>
    elements.flatMap((element) => element.match(/>([^<]+)<\/text>/)?.[1] ?? [])
  const few = axes(frame, { x: horizontalScale([1, 3], frame), y, xName: 'step', yName: 'loss' })
  expect(text(few)).toEqual(['0.0', '0.2', '0.4', '0.6', '0.8', '1.0', '1', '2', '3', 'step', 'loss'])
  const many = axes(frame, { x: horizontalScale([0, 20_000], frame), y, xName: 'step', yName: 'loss' })
  expect(text(many)).toContain('10,000')
  const rates = verticalScale([0, 1.5e-4], frame)
  expect(text(tickLabels(rates, 310, { fill: '#000', anchor: 'start', format: scientific }))).toContain(
    '1e-4',
  )
})

it('puts a dashed rule at its value and the legend without overlap', async () => {
  expect(ruleAt(0.5, 'predicting the mean', { y, frame })[0]).toContain('y1="100" y2="100"')
  const drawn = await legend(
    [
      { label: 'a rather long label', stroke },
      { label: 'b', stroke },
    ],
    10,
    20,
  )
  const starts = drawn
    .filter((element) => element.startsWith('<line'))
    .map((element) => Number(element.match(/x1="(\d+)"/)![1]))
  expect(starts[0]).toBe(10)
  expect(starts[1]).toBeGreaterThan(10 + 32 + 100)
})
