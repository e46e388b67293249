import sharp from 'sharp'
import { expect, it } from 'vitest'
import { drawSvg, encodePng, svgDocument } from '../../src/picture/render.ts'

it('draws on white, one pixel for each unit, and encodes without loss', async () => {
  const canvas = await drawSvg(
    svgDocument(3, 2, ['<rect x="1" y="1" width="1" height="1" fill="rgb(10,20,30)"/>']),
  )
  const white = [255, 255, 255]
  const expected = [...white, ...white, ...white, ...white, 10, 20, 30, ...white]
  expect([...canvas.pixels]).toEqual(expected)
  const { data, info } = await sharp(await encodePng(canvas))
    .raw()
    .toBuffer({ resolveWithObject: true })
  expect([info.width, info.height, info.channels]).toEqual([3, 2, 3])
  expect([...data]).toEqual(expected)
})
