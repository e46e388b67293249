import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { tryDecodeBytes } from '../../../src/prepare/decode/decode.ts'
import { rgbOfInks } from '../../../src/prepare/decode/raw-pixels.ts'

it('inks are subtracted from white as Pillow does', () => {
  // 255 − K = 155; 155 · C / 255 rounded: 100 → 61, 200 → 122, 255 → 155
  const values = Uint8Array.of(100, 200, 255, 100, 0, 0, 0, 0, 9, 9, 9, 255)
  expect([...rgbOfInks(values, 4)]).toEqual([94, 33, 0, 255, 255, 255, 0, 0, 0])
})

describe('a transparent picture', () => {
  const rgba = Buffer.from([200, 100, 50, 0, 200, 100, 50, 128])
  const decoded = async (colours: 'shown' | 'stored') => {
    const file = await sharp(rgba, { raw: { width: 2, height: 1, channels: 4 } })
      .png()
      .toBuffer()
    const out = new Uint8Array(6)
    const target = { width: 2, height: 1 }
    const sample = () => ({ box: { left: 0, top: 0, ...target }, flip: false, target, out })
    const request = { channels: 3, minSide: 1, maxPixels: 100 }
    expect(await tryDecodeBytes(file, { ...request, rules: { colours }, sample })).toBeNull()
    return [...out]
  }

  it('lies over white as it is shown', async () => {
    // 255 − (255 − 200) · 128 / 255 = 227.4
    expect((await decoded('shown')).slice(0, 4)).toEqual([255, 255, 255, 227])
  })

  it('has the colours below its alpha as it is stored', async () =>
    expect(await decoded('stored')).toEqual([200, 100, 50, 200, 100, 50]))
})
