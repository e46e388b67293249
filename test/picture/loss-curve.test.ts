import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { drawLossCurve, type LossPoint } from '../../src/picture/loss-curve.ts'

const points = (losses: number[]): LossPoint[] => losses.map((loss, i) => ({ step: 10 * i, loss }))
const paths = (svg: string) => [...svg.matchAll(/<path d="([^"]+)"/g)].map((match) => match[1]!)
/** Points that are joined by straight lines. */
const vertices = (path: string) => path.split('L').length

async function expectPicture(png: Buffer): Promise<void> {
  const { format, width, height } = await sharp(png).metadata()
  expect([format, width, height]).toEqual(['png', 900, 500])
}

describe('drawLossCurve', () => {
  it('draws thousands of points as a thin line and its median', async () => {
    const losses = Array.from(
      { length: 8000 },
      (_, i) => 0.4 + 0.6 * Math.exp(-i / 900) + 0.01 * Math.sin(i * i),
    )
    const { svg, png } = await drawLossCurve({ points: points(losses), title: 'A & B', baseline: 1 })
    await expectPicture(png)
    expect(vertices(paths(svg)[0]!)).toBeLessThanOrEqual(1600)
    expect(svg).toContain('running median of 201 points')
    expect(svg).toContain('predicting the mean')
    expect(svg).toContain('A &amp; B')
    expect(svg).not.toContain('not finite')
  })

  it('draws one point as a dot, and few without a median', async () => {
    const one = await drawLossCurve({ points: points([1.02]) })
    await expectPicture(one.png)
    expect(one.svg).toContain('<circle')
    expect(one.svg).not.toMatch(/predicting the mean|median/)
    const few = await drawLossCurve({ points: points([1, 0.9, 0.8]) })
    expect(paths(few.svg).map(vertices)).toEqual([3])
    expect(few.svg).not.toContain('median')
  })

  it('drops what is not finite and says so', async () => {
    const { svg } = await drawLossCurve({
      points: points([1, Number.NaN, 0.8, Number.POSITIVE_INFINITY, 0.7]),
    })
    expect(svg).toContain('2 not finite, left out')
    expect(paths(svg).map(vertices)).toEqual([3])
    expect(svg).not.toContain('NaN')
    await expect(drawLossCurve({ points: points([Number.NaN]) })).rejects.toThrow(
      /a finite loss, got 1 points/,
    )
  })

  it('does not let a spike flatten the curve, and says that it is there', async () => {
    const losses = Array.from({ length: 1000 }, (_, i) => (i === 500 ? 1e6 : 0.5 + 0.1 * Math.cos(i / 100)))
    const { svg } = await drawLossCurve({ points: points(losses) })
    expect(svg).toContain('1 above the frame')
    expect(svg).toContain('>0.60</text>')
  })

  it('gives the learning rate an axis of its own', async () => {
    const rated = points([1, 0.9, 0.8]).map((p, i) => ({ ...p, learningRate: 1e-4 * i }))
    const { svg } = await drawLossCurve({ points: rated })
    expect(svg).toContain('learning rate (right axis)')
    expect(svg).toContain('>2e-4</text>')
    expect(paths(svg)).toHaveLength(2)
  })

  it('draws the probes on an axis of their own, with what they are now', async () => {
    const rated = points([1, 0.9, 0.8]).map((p, i) => ({ ...p, learningRate: 1e-4 * i }))
    const probes = [
      { step: 20, knn: 0.3, linear: 0.45, chance: 0.1 }, // in any order
      { step: 10, knn: 0.2, linear: 0.25, chance: 0.1 },
    ]
    const { svg, png } = await drawLossCurve({ points: rated, probes })
    await expectPicture(png)
    for (const text of [
      'linear probe 45.0 %',
      'nearest neighbours 30.0 %',
      'commonest class 10.0 %',
      '>50 %<',
    ])
      expect(svg).toContain(text)
    expect(svg).toContain('learning rate (up to 2e-4)')
    expect(svg).not.toContain('>2e-4</text>') // the right axis is theirs
    expect(svg.match(/<circle/g)).toHaveLength(4)
    expect(paths(svg)).toHaveLength(5)
  })

  it('says of how many values the median is, also where points stand for several', async () => {
    const losses = Array.from({ length: 8000 }, () => 1)
    const { svg } = await drawLossCurve({ points: points(losses), count: 80_000 })
    expect(svg).toContain('running median of 2,010 points')
  })
})
