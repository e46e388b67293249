import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type MaskedImages, maskedImages } from '../../../src/prepare/masks/masked-images.ts'
import type { SkippedFile } from '../../../src/prepare/skipped.ts'
import { openMaskedFolder } from '../../../src/source/masked-folder.ts'
import { temporaryFolder } from '../../tensor/temporary-folder.ts'
import { rawPng } from '../decode/make-png.ts'
import { writeMaskedSet } from './make-masked.ts'

const usual = {
  ...{ height: 16, width: 16, channels: 3, batchSize: 4, decodeThreads: 2 },
  ...{ minSide: 4, maxPixels: 1e6, maxSkippedShare: 0.5 },
}

async function read(dir: string, over: Partial<typeof usual> = {}) {
  const skipped: SkippedFile[] = []
  const batches: MaskedImages[] = []
  for await (const batch of maskedImages(await openMaskedFolder(dir), { ...usual, ...over }, (file) =>
    skipped.push(file),
  ))
    batches.push(batch)
  return { batches, skipped }
}

const written = async (count = 6, size = { width: 48, height: 32 }) => {
  const dir = temporaryFolder()
  await writeMaskedSet({ dir, count, ...size, seed: 1 })
  return dir
}

it('cuts and shrinks an image and its mask alike', async () => {
  const { batches, skipped } = await read(await written())
  expect(skipped).toEqual([])
  expect(batches.map(({ indices }) => indices)).toEqual([
    [0, 1, 2, 3],
    [4, 5],
  ])
  // The colour that a pixel is nearest to tells its class; where they differ, it is at a blurred border.
  let same = 0
  let all = 0
  for (const { pixels, masks } of batches)
    for (const [i, label] of masks.entries()) {
      const [r, g, b] = pixels.subarray(3 * i, 3 * i + 3)
      const seen = r! > g! && r! > b! ? 1 : b! > g! ? 2 : 0
      all++
      if (seen === label) same++
    }
  expect(all).toBe(6 * 16 * 16)
  expect(same / all).toBeGreaterThan(0.93)
})

it('leaves out what cannot be read, image or mask, and says so', async () => {
  const dir = await written()
  writeFileSync(join(dir, 'images/001.png'), 'no image')
  writeFileSync(join(dir, 'masks/004.png'), 'no mask')
  const { batches, skipped } = await read(dir)
  expect(batches.map(({ indices }) => indices)).toEqual([[0, 2, 3], [5]])
  expect(batches.map(({ shape, masks }) => [shape[0], masks.length / 256])).toEqual([
    [3, 3],
    [1, 1],
  ])
  expect(skipped.map(({ file }) => file).sort()).toEqual(['001.png', '004.png'])
  expect(skipped.find(({ file }) => file === '004.png')?.reason).toMatch(
    /its mask .*masks\/004\.png: expected a mask as PNG/,
  )
  await expect(read(dir, { maxSkippedShare: 0.1 })).rejects.toMatchObject({ code: 'DATA_BROKEN' })
  const whole = (await read(await written())).batches[0]!
  expect(batches[0]!.pixels.subarray(768, 1536)).toEqual(whole.pixels.subarray(1536, 2304))
})

it('refuses a mask of another size than its image', async () => {
  const dir = await written()
  const values = Array.from({ length: 32 * 48 }, () => 0)
  writeFileSync(join(dir, 'masks/002.png'), rawPng({ width: 32, height: 48, colour: 0, depth: 8, values }))
  await expect(read(dir)).rejects.toThrow(/masks\/002\.png is 32 × 48, but its image 002\.png is 48 × 32/)
})
