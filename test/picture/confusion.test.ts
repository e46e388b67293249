import sharp from 'sharp'
import { expect, it } from 'vitest'
import { drawConfusion } from '../../src/picture/confusion.ts'

it('names classes and numbers, escaped and shortened, in shares of the row', async () => {
  const names = ['a & b', 'a class with a very, very long name']
  const { svg, png } = await drawConfusion({
    ...{ names, title: 'knn: 75 %' },
    confusion: [
      [3, 1],
      [0, 200],
    ],
  })
  expect(svg).toContain('>a &amp; b<')
  expect(svg).toContain('>a class with a very, ve…<')
  for (const share of ['75', '25', '100']) expect(svg).toContain(`>${share}</text>`)
  expect(svg.match(/<rect x="\d+" y="\d+" width="48"/g)).toHaveLength(4)
  const { format, width } = await sharp(png).metadata()
  expect([format, width! >= 460]).toEqual(['png', true])
})

it('leaves out what would not fit: three hundred classes are colours', async () => {
  const names = Array.from({ length: 300 }, (_, i) => `class ${i}`)
  const confusion = names.map((_, i) => names.map((__, j) => (i === j ? 5 : 0)))
  const { svg, png } = await drawConfusion({ names, confusion, title: 'linear' })
  expect(svg).not.toContain('class 7<')
  const { width, height } = await sharp(png).metadata()
  expect(Math.max(width!, height!)).toBeLessThan(1400)
})

it('a class without images stays white; rows must be as many as names', async () => {
  const { svg } = await drawConfusion({
    names: ['a', 'b'],
    confusion: [
      [0, 0],
      [1, 1],
    ],
    title: 't',
  })
  expect(svg.match(/fill="rgb\(255,255,255\)"/g)).toHaveLength(2)
  await expect(drawConfusion({ names: ['a', 'b'], confusion: [[1, 0]], title: 't' })).rejects.toThrow(
    'drawConfusion: expected a row for each of 2 names, got 1',
  )
})
