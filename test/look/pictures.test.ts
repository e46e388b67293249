import sharp from 'sharp'
import { expect, it } from 'vitest'
import type { Look } from '../../src/look/look.ts'
import { drawAttention, drawFeatures, drawNearest } from '../../src/look/pictures.ts'
import { scaled } from '../../src/picture/painted.ts'

const tile = { width: 8, height: 4, channels: 3 as const, pixels: new Uint8Array(96).fill(40) }
const [RED, BLUE] = [
  [255, 10, 10],
  [10, 10, 255],
]
/** 2 × 4 patches: the left half is unlike the right one. */
const look: Look = {
  ...{ grid: { h: 2, w: 4 }, attention: { of: 'cls', block: 1 }, prefix: 1, explained: [0.5, 0.2, 0.1] },
  chosen: 1,
  images: [
    {
      file: 'a/b.png',
      attention: [
        { patches: Float32Array.of(0, 0, 0, 0.25, 0, 0, 0, 0.25), prefix: 0.5 },
        { patches: new Float32Array(8).fill(0.1), prefix: 0.2 },
      ],
      colours: Uint8Array.from([RED, RED, BLUE, BLUE, RED, RED, BLUE, BLUE].flat() as number[]),
      similarity: Float64Array.of(1, 1, 0, 0, 1, 1, 0, 0),
      nearest: [{ place: 0, similarity: 1 }],
    },
  ],
}

async function countOf(png: Buffer, colour: readonly number[]): Promise<number> {
  const { data } = await sharp(png).raw().toBuffer({ resolveWithObject: true })
  let count = 0
  for (let i = 0; i < data.length; i += 3) if (colour.every((value, c) => data[i + c] === value)) count++
  return count
}

it('paints each patch in its colour: two halves', async () => {
  const png = await drawFeatures(look, [tile])
  // 224 × 112 pixels, 56 for each patch.
  expect([await countOf(png, RED as number[]), await countOf(png, BLUE as number[])]).toEqual([12544, 12544])
})

it('frames the nearest patches, and the chosen one in both tiles', async () => {
  const png = await drawNearest(look, [tile])
  const frame = 56 * 56 - 52 * 52
  expect(await countOf(png, [0, 230, 118])).toBe(frame)
  const without = await drawNearest({ ...look, images: [{ ...look.images[0]!, nearest: [] }] }, [tile])
  expect(await countOf(without, [0, 230, 118])).toBe(0)
})

it('frames a patch of a large grid around it, where it can be seen', async () => {
  const grid = { h: 100, w: 128 }
  const image = { ...look.images[0]!, similarity: new Float64Array(12_800).fill(0.5), nearest: [] }
  const at = async (chosen: number) =>
    countOf(
      await drawNearest(
        { ...look, grid, chosen, images: [{ ...image, nearest: [{ place: 0, similarity: 1 }] }] },
        [tile],
      ),
      [0, 230, 118],
    )
  // Patches of 4 × 4 pixels, with two pixels around them; at the corner two sides of the frame are at the edges of the picture.
  expect(await at(500)).toBe(6 * 6 - 4 * 4)
  const inside = { ...image, nearest: [{ place: 50 * 128 + 64, similarity: 1 }] }
  const png = await drawNearest({ ...look, grid, chosen: 500, images: [inside] }, [tile])
  expect(await countOf(png, [0, 230, 118])).toBe(8 * 8 - 6 * 6)
})

it('draws attention from its least to its greatest share over the image', async () => {
  const png = await drawAttention(look, look.images[0]!, tile)
  // 0.3 of grey 40 and 0.7 of the palest and the darkest colour; 32 × 32 pixels a patch.
  const [pale, dark] = [
    [191, 187, 145],
    [20, 20, 54],
  ]
  expect(await countOf(png, pale)).toBe(2 * 2 * 32 * 32) // of the mean and of the first head
  expect(await countOf(png, dark)).toBe((6 + 6 + 8) * 32 * 32) // the second head is even
})

it('shrinks images to means, and repeats the pixels of small ones', () => {
  const pixels = Uint8Array.of(0, 10, 20, 30)
  const grey = { width: 4, height: 1, channels: 1 as const, pixels }
  expect([...scaled(grey, 2, 1).pixels]).toEqual([5, 5, 5, 25, 25, 25])
  expect([...scaled(grey, 8, 1).pixels].filter((_, i) => i % 3 === 0)).toEqual([0, 0, 10, 10, 20, 20, 30, 30])
})
