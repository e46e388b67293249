import { describe, expect, it } from 'vitest'
import { type Fitting, fitted } from '../../src/prepare/fit.ts'

const square = { width: 224, height: 224 }
const placed = ([width, height]: [number, number], fitting: Partial<Fitting>, target = square): number[] => {
  const { box, cut } = fitted({ width, height }, target, {
    ...{ resize: 'shortest', cropShare: 1, cutRule: 'before', isExact: false },
    ...fitting,
  })
  expect(box).toEqual({ left: 0, top: 0, width, height })
  return [cut!.size.width, cut!.size.height, cut!.left, cut!.top]
}

// Worked out by hand from the code of transformers 5.24, torchvision 0.29, timm 1.0.31.
describe('a whole image', () => {
  it('is the largest centred box, if nothing else is said', () => {
    const box = { left: 50, top: 0, width: 200, height: 200 }
    expect(fitted({ width: 300, height: 200 }, square)).toEqual({ box })
  })

  it('is resized by its shorter side, the other cut off, never rounded up', () => {
    // 224 · 500 / 375 = 298.67
    expect(placed([500, 375], {})).toEqual([298, 224, 37, 0])
    expect(placed([375, 500], {})).toEqual([224, 298, 0, 37])
    expect(placed([224, 224], {})).toEqual([224, 224, 0, 0])
    // to 224 / 0.875 = 256: 256 · 500 / 375 = 341.33
    expect(placed([500, 375], { cropShare: 0.875 })).toEqual([341, 256, 58, 16])
    // timm rounds 224 / 0.9 = 248.9 down
    expect(placed([300, 300], { cropShare: 0.9 })).toEqual([248, 248, 12, 12])
  })

  it('begins at half a pixel where the library begins', () => {
    // 224 · 301 / 224 = 301: (301 − 224) / 2 = 38.5; 227: 1.5
    expect(placed([301, 224], { cutRule: 'before' })).toEqual([301, 224, 38, 0])
    expect(placed([301, 224], { cutRule: 'even' })).toEqual([301, 224, 38, 0])
    expect(placed([227, 224], { cutRule: 'before' })).toEqual([227, 224, 1, 0])
    expect(placed([227, 224], { cutRule: 'even' })).toEqual([227, 224, 2, 0])
  })

  it('covers a size that is not square, rounded to the nearest', () => {
    // ratio = min(375 / 32, 500 / 64) = 7.8125: 500 / 7.8125 = 64, 375 / 7.8125 = 48
    expect(placed([500, 375], {}, { width: 64, height: 32 })).toEqual([64, 48, 0, 8])
  })

  it('fits into the size, with room beside it', () => {
    expect(placed([300, 100], { resize: 'longest' })).toEqual([224, 75, 0, -74])
    expect(placed([1, 1000], { resize: 'longest' })).toEqual([1, 224, -111, 0])
  })

  it('is squashed', () => {
    expect(placed([500, 375], { resize: 'squash' })).toEqual([224, 224, 0, 0])
    expect(placed([500, 375], { resize: 'squash', cropShare: 0.875 })).toEqual([256, 256, 16, 16])
  })
})
