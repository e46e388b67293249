import { describe, expect, it } from 'vitest'
import { compositeTile, stretchOf } from '../../src/picture/composite.ts'
import { tilesOfSamples } from '../../src/picture/sample-tiles.ts'
import type { Pixels } from '../../src/prepare/pixels.ts'
import { wave } from '../tolerance.ts'

it('shows images as they are, each its own bytes', () => {
  const pixels = Uint8Array.from({ length: 24 }, (_, i) => i)
  expect(tilesOfSamples({ pixels, shape: [2, 2, 2, 3] }, null)).toEqual([
    { width: 2, height: 2, channels: 3, pixels: pixels.slice(0, 12) },
    { width: 2, height: 2, channels: 3, pixels: pixels.slice(12) },
  ])
  expect(tilesOfSamples({ pixels, shape: [3, 2, 4, 1] }, null)[2]).toEqual({
    ...{ width: 4, height: 2, channels: 1, pixels: pixels.slice(16) },
  })
})

describe('rasters', () => {
  const [frames, channels, height, width] = [2, 4, 3, 5]
  const area = height * width
  const values = wave(2 * frames * channels * area).map((x, i) => (i === 7 ? Number.NaN : 1000 + 500 * x))
  const given: Pixels = {
    ...{ pixels: Float32Array.from(values), shape: [2, frames, channels, height, width] },
    ...{ times: new Float64Array(4).fill(Number.NaN), resolution: new Float64Array(2).fill(Number.NaN) },
  }
  const firstDate = (sample: number) => ({
    values: Float32Array.from(values.slice(sample * 8 * area, (sample * 8 + 4) * area)),
    ...{ valid: null, height, width },
  })

  it('are their first date in true colour, stretched by itself', () => {
    const tiles = tilesOfSamples(given, ['B02', 'B8', 'b4', 'B3'])
    expect(tiles).toHaveLength(2)
    for (const [b, tile] of tiles.entries()) {
      const image = firstDate(b)
      expect(tile).toEqual(
        compositeTile({ kind: 'rgb', name: '', bands: [2, 3, 0] }, image, stretchOf([image])),
      )
    }
    // Value 7 of the first sample is at row 1, column 2 of its first band: (1 + 2) % 4 ≠ 0, the field between the lines.
    expect([...tiles[0]!.pixels.subarray(3 * 7, 3 * 8)]).toEqual([226, 226, 226])
    expect([...tiles[1]!.pixels.subarray(3 * 7, 3 * 8)]).not.toEqual([226, 226, 226])
  })

  it('are the first three bands where nothing is known of them', () => {
    const image = firstDate(0)
    expect(tilesOfSamples(given, null)[0]).toEqual(
      compositeTile({ kind: 'rgb', name: '', bands: [0, 1, 2] }, image, stretchOf([image])),
    )
  })
})
