// Each operator by hand; every one against Pillow and torchvision in test/verify/operator-files.test.ts.
import { describe, expect, it } from 'vitest'
import { boxOf } from '../../../src/prepare/augment/box-blur.ts'
import { applySteps } from '../../../src/prepare/augment/operators.ts'
import { isOperator, type Step, stepSchemas } from '../../../src/prepare/augment/step.ts'

/** A row of pixels, changed. */
function row(values: readonly number[], ...steps: Step[]): number[] {
  const pixels = Uint8Array.from(values)
  const changed = applySteps({ height: 1, width: values.length / 3, pixels }, steps)
  expect([...pixels]).toEqual(values) // nothing is written to what was given
  return [...changed.pixels]
}
const grey = (...values: number[]) => values.flatMap((value) => [value, value, value])

it('greyscale: (19595 R + 38470 G + 7471 B + 32768) >> 16, three times', () =>
  expect(row([10, 20, 30, 110, 120, 130, 255, 255, 255], { operator: 'greyscale' })).toEqual(
    grey(18, 118, 255), // 18.65, 118.65
  ))

it('brightness: the product, cut off', () =>
  expect(row([10, 3, 200], { operator: 'brightness', factor: 1.5 })).toEqual([15, 4, 255]))

describe('contrast', () => {
  it('around the mean luma', () =>
    // (18 + 118) / 2 = 68; half of the way to it
    expect(row([10, 20, 30, 110, 120, 130], { operator: 'contrast', factor: 0.5 })).toEqual([
      39, 44, 49, 89, 94, 99,
    ]))
  it('whose halves are rounded up', () =>
    expect(row(grey(1, 2), { operator: 'contrast', factor: 0 })).toEqual(grey(2, 2)))
})

it.each([
  [0.5, [14, 19, 24]],
  [2, [2, 22, 42]],
  [0, [18, 18, 18]],
  [20, [0, 58, 255]], // 18 + 20 · (−8, 2, 12)
])('saturation by %d: around the luma of the pixel, 18', (factor, expected) =>
  expect(row([10, 20, 30], { operator: 'saturation', factor })).toEqual(expected),
)

describe('hue', () => {
  it('a third of the circle makes red green, and leaves grey', () =>
    expect(row([255, 0, 0, 7, 7, 7], { operator: 'hue', factor: 1 / 3 })).toEqual([0, 255, 0, 7, 7, 7]))
  it('backwards, blue becomes green, and red comes out between: the bytes of the circle are 256, and it has 255 steps', () => {
    expect(row([0, 0, 255], { operator: 'hue', factor: -1 / 3 })).toEqual([0, 255, 0])
    // 0 − 85 is 171: 6 · 171 / 255 is 4 and 0.0235, of which 255 are 6
    expect(row([255, 0, 0], { operator: 'hue', factor: -1 / 3 })).toEqual([6, 0, 255])
  })
  it('by nothing is no identity', () =>
    // S = 255, V = 250, h = 1 − 1/250 in the first sector, H = ⌊255 · 0.996 / 6⌋ = 42, and 6 · 42 / 255 · 250 = 247.06
    expect(row([250, 249, 0], { operator: 'hue', factor: 0 })).toEqual([250, 247, 0]))
  it('every sector', () => {
    const pure = [255, 0, 0, 255, 255, 0, 0, 255, 0, 0, 255, 255, 0, 0, 255, 255, 0, 255]
    // H is 0, 42, 85, 127, 170, 212: yellow, cyan and magenta lose half a step, and are 6 · 42 / 255 = 0.988 into their sector.
    expect(row(pure, { operator: 'hue', factor: 0 })).toEqual([
      255, 0, 0, 255, 252, 0, 0, 255, 0, 0, 255, 252, 0, 0, 255, 252, 0, 255,
    ])
  })
})

it('solarise: from the threshold on', () => {
  expect(row([127, 128, 255], { operator: 'solarise', threshold: 128 })).toEqual([127, 127, 0])
  expect(stepSchemas.solarise.parse({ operator: 'solarise' }).threshold).toBe(128)
})

it('flip: left to right', () =>
  expect(row([1, 2, 3, 4, 5, 6], { operator: 'flip' })).toEqual([4, 5, 6, 1, 2, 3]))

describe('blurPillow', () => {
  it('the box of sigma 1 is 1.5 pixels long, its weights rounded in float32', () =>
    expect(boxOf(1)).toEqual({ reach: 0, inner: 11184811, outer: 2796202 }))
  it('the box of sigma 2 reaches over whole neighbours', () =>
    // σ² = 4/3, l = 1, r = 1 + 3 · (2 − 4) / (6 · (4/3 − 4)) = 1.375, w = 2²⁴ / 3.75
    expect(boxOf(2)).toEqual({ reach: 1, inner: 4473924, outer: 1677722 }))
  it('of nothing is the image', () =>
    expect(row([1, 2, 3, 4, 5, 6], { operator: 'blurPillow', radius: 0 })).toEqual([1, 2, 3, 4, 5, 6]))
  it('a point, three times a sixth, two thirds, a sixth, rounded to bytes between', () =>
    // 42 170 42; then 7 56 127 56 7; then this
    expect(row(grey(0, 0, 0, 255, 0, 0, 0), { operator: 'blurPillow', radius: 1 })).toEqual(
      grey(1, 14, 60, 103, 60, 14, 1),
    ))
  it('columns as rows', () => {
    const pixels = Uint8Array.from(grey(0, 0, 0, 255, 0, 0, 0))
    const blurred = applySteps({ height: 7, width: 1, pixels }, [{ operator: 'blurPillow', radius: 1 }])
    expect([...blurred.pixels]).toEqual(grey(1, 14, 60, 103, 60, 14, 1))
  })
  it('an image smaller than the box keeps its colour', () =>
    expect(row(grey(9, 9), { operator: 'blurPillow', radius: 30 })).toEqual(grey(9, 9)))
})

it('blurTorchvision: a sampled Gaussian over mirrored edges', () => {
  const sigma = Math.sqrt(1 / (2 * Math.LN2)) // weights ¼ ½ ¼
  expect(row(grey(100, 0, 0, 40), { operator: 'blurTorchvision', kernelSize: [3, 1], sigma })).toEqual(
    grey(50, 25, 10, 20),
  )
  const pixels = Uint8Array.from(grey(100, 0, 0, 40))
  const step = { operator: 'blurTorchvision', kernelSize: [1, 3], sigma } as const
  const blurred = applySteps({ height: 4, width: 1, pixels }, [{ ...step, kernelSize: [1, 3] }])
  expect([...blurred.pixels]).toEqual(grey(50, 25, 10, 20))
})

it('resizedCrop: the box alone, then its size', () => {
  const image = { height: 2, width: 3, pixels: Uint8Array.from(grey(1, 2, 3, 4, 50, 60)) }
  const crop = (box: [number, number, number, number], size: [number, number]) =>
    applySteps(image, [{ operator: 'resizedCrop', box, size }])
  expect(crop([1, 1, 1, 2], [1, 2])).toEqual({ height: 1, width: 2, pixels: Uint8Array.from(grey(50, 60)) })
  expect([...crop([1, 1, 1, 1], [2, 2]).pixels]).toEqual(grey(50, 50, 50, 50))
})

it('steps follow one another', () => {
  const steps = [
    { operator: 'flip' },
    { operator: 'brightness', factor: 2 },
    { operator: 'greyscale' },
  ] as const
  expect(row([110, 120, 130, 10, 20, 30], ...steps)).toEqual(grey(36, 236)) // 36.3, 236.3
})

it('only what stands in the table is an operator', () =>
  expect(['hue', 'toString', '__proto__', ''].map(isOperator)).toEqual([true, false, false, false]))
