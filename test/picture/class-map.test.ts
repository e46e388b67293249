import { expect, it } from 'vitest'
import { classColour, classTile } from '../../src/picture/class-map.ts'

it('gives the colours of the usual palette', () => {
  // Everingham et al. 2015: background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat; and the border, 255.
  const usual = [
    [0, 0, 0],
    [128, 0, 0],
    [0, 128, 0],
    [128, 128, 0],
    [0, 0, 128],
    [128, 0, 128],
    [0, 128, 128],
    [128, 128, 128],
    [64, 0, 0],
  ]
  expect(usual.map((_, label) => classColour(label))).toEqual(usual)
  expect(classColour(255)).toEqual([224, 224, 192])
})

it('draws numbers that are no class in white', () => {
  const { pixels } = classTile(Uint16Array.of(1, 255, 2, 0), { width: 2, height: 2 }, 2)
  expect([...pixels]).toEqual([128, 0, 0, 255, 255, 255, 255, 255, 255, 0, 0, 0])
})
