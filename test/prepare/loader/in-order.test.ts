import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { imagesInOrder } from '../../../src/prepare/loader/in-order.ts'
import type { LoaderOptions } from '../../../src/prepare/loader/loader.ts'
import { openImageFolder } from '../../../src/source/image-folder.ts'
import { sampleFolder } from '../../run/tiny.ts'

const settings = {
  ...{
    height: 16,
    width: 16,
    channels: 3,
    scale: [0.2, 1] as const,
    ratio: [0.75, 1.34] as const,
    seed: 5,
    minSide: 4,
  },
  ...{ maxPixels: 1e6, maxSkippedShare: 0.2, decodeThreads: 1, prefetchBatches: 2 },
} satisfies Partial<LoaderOptions>

it.each([1, 7, 20, 100])('gives every readable image once, in order, in batches of %i', async (batchSize) => {
  const dir = await sampleFolder(20)
  const plain = await openImageFolder(dir)
  const pixelsOf = async (at: string) => {
    const source = await openImageFolder(at)
    const skipped: string[] = []
    const seen = new Map<string, string>()
    const options = { ...settings, source, batchSize }
    for await (const { parts, indices } of imagesInOrder(options, ({ file }) => skipped.push(file))) {
      expect(parts.map(({ rows }) => rows)).toEqual([[...indices.keys()]])
      const { pixels, shape } = parts[0]!.samples
      expect(shape).toEqual([indices.length, 16, 16, 3])
      for (const [row, index] of indices.entries())
        seen.set(
          source.files[index]!,
          Buffer.from(pixels.subarray(row * 768, (row + 1) * 768)).toString('hex'),
        )
    }
    return { seen, skipped }
  }
  const before = await pixelsOf(dir)
  expect([...before.seen.keys()]).toEqual(plain.files)
  expect(new Set(before.seen.values()).size).toBe(20)
  const broken = `${plain.classes[0]}/0-broken.png`
  writeFileSync(join(dir, broken), 'no image')
  const after = await pixelsOf(dir)
  expect(after.skipped).toEqual([broken])
  expect([...after.seen]).toEqual([...before.seen])
})
