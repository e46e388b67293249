// What the page makes of decoded pixels, beside what sherd makes of the same file.
import { join } from 'node:path'
import sharp from 'sharp'
import { expect, it } from 'vitest'
import { overWhite, samplePixels, toPlanes } from '../../playground/src/prepare-pixels.ts'
import { samplesOf } from '../../src/export/sample-input.ts'
import { centerCrop } from '../../src/prepare/crop.ts'
import { decodeImage } from '../../src/prepare/decode/decode.ts'
import { paintScene } from '../../src/sample-data/scenes.ts'
import type { Size } from '../../src/source/box.ts'
import { workFolder } from '../run/tiny.ts'

const small = { width: 20, height: 12 }

/** The sample of a file by sherd's own decoder. */
async function bySherd(path: string, channels: number, target: Size = small): Promise<Uint8Array> {
  const out = new Uint8Array(target.width * target.height * channels)
  const place = (size: Size) => ({ box: centerCrop(size, target), flip: false })
  await decodeImage(path, { target, channels, place, minSide: 1, maxPixels: 1e6 }, out)
  return out
}

/** What a browser gives of a PNG: RGBA as it is in the file. */
const rgba = (path: string) => sharp(path).ensureAlpha().raw().toBuffer()

it.each([1, 3])('small pictures are sherd’s, byte for byte, with %i channels', async (channels) => {
  const path = join(await workFolder(), 'a.png')
  const size = { width: 70, height: 50 }
  const pixels = paintScene({ scene: 'pebbles', seed: 1, index: 0, size: 70 }).subarray(0, 70 * 50 * 3)
  await sharp(pixels, { raw: { ...size, channels: 3 } })
    .png()
    .toFile(path)
  const made = samplePixels(overWhite(await rgba(path), size), small, channels)
  expect(Array.from(made)).toEqual(Array.from(await bySherd(path, channels)))
})

it('larger pictures, which sherd lets libvips shrink, are within two levels up to a fourth of their size', async () => {
  const path = join(await workFolder(), 'a.png')
  const size = { width: 300, height: 200 }
  const target = { width: 80, height: 48 }
  const pixels = paintScene({ scene: 'mountains', seed: 1, index: 0, size: 300 }).subarray(0, 300 * 200 * 3)
  await sharp(pixels, { raw: { ...size, channels: 3 } })
    .png()
    .toFile(path)
  const made = samplePixels(overWhite(await rgba(path), size), target, 3)
  const expected = await bySherd(path, 3, target)
  expect(Math.max(...made.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThanOrEqual(2)
})

it('what is transparent lies over white', () => {
  const { pixels } = overWhite([10, 20, 30, 0, 10, 20, 30, 255, 0, 100, 200, 51], { width: 3, height: 1 })
  expect([...pixels]).toEqual([255, 255, 255, 10, 20, 30, 204, 224, 244]) // a fifth of it
})

it('planes are the samples that exported graphs take', () => {
  const pixels = Uint8Array.from({ length: 2 * 3 * 3 }, (_, i) => 3 * i)
  const { values, shape } = samplesOf({ pixels, shape: [1, 2, 3, 3] })
  expect(shape).toEqual([1, 3, 2, 3])
  expect([...toPlanes(pixels, 3)]).toEqual([...values])
})
