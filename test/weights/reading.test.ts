// One broken file among few stops nothing; what stops is a limit that every command takes.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, expect, it } from 'vitest'
import type { ReadingLimits } from '../../src/config/reading.ts'
import { readingConfig } from '../../src/config/reading.ts'
import { imageProof } from '../../src/export/prove-onnx.ts'
import { loadExhibit } from '../../src/run/pictures.ts'
import { openImageFolder } from '../../src/source/image-folder.ts'
import { featuresOf } from '../../src/weights/folder-features.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { tinyConfig, workFolder } from '../run/tiny.ts'

let dir: string
beforeAll(async () => {
  dir = await workFolder()
  const image = (side: number) =>
    sharp({ create: { width: side, height: side, channels: 3, background: '#336699' } }).jpeg()
  for (const name of ['a', 'b', 'd']) await image(24).toFile(join(dir, `${name}.jpg`))
  const whole = await image(40).toBuffer()
  writeFileSync(join(dir, 'c-half.jpg'), whole.subarray(0, whole.length >> 1))
})

const encoder = (reading: ReadingLimits) =>
  openEncoder({ model: 'random', config: tinyConfig(), device: 'cpu', reading })

it('reads three of four, and tells the fourth', async () => {
  const { features, skipped } = await featuresOf(await encoder({}), dir)
  expect([...features.indices]).toEqual([0, 1, 3])
  expect(skipped.map(({ file }) => file)).toEqual(['c-half.jpg'])
  const proof = await imageProof(await encoder({}), dir)
  expect(proof.batches.map(({ shape }) => shape[0])).toEqual([3])
  expect((await loadExhibit(tinyConfig(), await openImageFolder(dir), 4)).names).toEqual([
    'a.jpg',
    'b.jpg',
    'd.jpg',
  ])
})

it.each<[ReadingLimits, RegExp]>([
  [
    { maxSkippedShare: 0 },
    /^1 of 4 images \(25 %\) cannot be used\. At most 0 may be skipped \(data\.maxSkippedShare 0\)/,
  ],
  [
    { maxPixels: 500 },
    /^2 of 4 images .*24 x 24 pixels are more than the limit of 0\.0005 megapixels.*--max-pixels/s,
  ],
])('stops at %j', async (reading, message) => {
  const broken = { code: 'DATA_BROKEN', message: expect.stringMatching(message) as string }
  const opened = await encoder(reading)
  await expect(featuresOf(opened, dir)).rejects.toMatchObject(broken)
  await expect(imageProof(opened, dir)).rejects.toMatchObject(broken)
  await expect(loadExhibit(readingConfig(opened), await openImageFolder(dir), 4)).rejects.toMatchObject(
    broken,
  )
})

it('keeps what the model itself is as it is', async () => {
  const opened = await encoder({ maxSkippedShare: 0.5 })
  expect([opened.config.data.maxSkippedShare, readingConfig(opened).data.maxSkippedShare]).toEqual([
    0.01, 0.5,
  ])
  expect(() => readingConfig({ ...opened, reading: { maxSkippedShare: 2 } })).toThrow(/data\.maxSkippedShare/)
})
