// The vector of an image file is that of the library's own pipeline, for every published layout, and the pixels are its pixels.
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inferenceOptions, openData } from '../../src/config/assemble.ts'
import type { Config } from '../../src/config/schema.ts'
import { imagesInOrder } from '../../src/prepare/loader/in-order.ts'
import type { Pixels } from '../../src/prepare/pixels.ts'
import { openSource } from '../../src/source/open.ts'
import { featureSpecs, featuresOfBatch } from '../../src/weights/frozen-encoder.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { ownFeature } from '../../src/weights/own-feature.ts'
import {
  copyImages,
  cosine,
  expectedFeatures,
  files,
  hasLayouts,
  modelOf,
  more,
  rows,
  writeImages,
} from './pipelines.ts'

const work = mkdtempSync(join(tmpdir(), 'sherd-pipelines-'))
/** All of them, for each layout as it is; without the large one for layouts that are prepared otherwise once more. */
const images = { all: join(work, 'all'), few: join(work, 'few') } as const
afterAll(() => rmSync(work, { recursive: true, force: true }))

interface Samples {
  readonly pixels: Pixels
  /** In the order of `pixels`. */
  readonly names: readonly string[]
}

async function read(config: Config, dir: string): Promise<Samples> {
  const source = await openData(config, dir)
  const options = { ...inferenceOptions(config, source, { decodeThreads: 1 }), maxSkippedShare: 0 }
  for await (const { parts } of imagesInOrder({ ...options, batchSize: source.files.length }))
    return { pixels: parts[0]!.samples, names: source.files }
  throw new Error(`${dir} is empty`)
}

const prepared = new Map<string, Promise<Samples>>()

/** Read once for all models that prepare images in the same way, whatever they are normalised by. */
function samplesFor(config: Config, dir: string): Promise<Samples> {
  const { mean: _, std: __, ...data } = config.data as Extract<Config['data'], { kind: 'images' }>
  const key = JSON.stringify([dir, data, config.model.imageSize])
  if (!prepared.has(key)) prepared.set(key, read(config, dir))
  return prepared.get(key)!
}

describe.runIf(hasLayouts)('from image files', () => {
  beforeAll(async () => {
    for (const dir of Object.values(images)) mkdirSync(dir)
    await writeImages(images.all)
    copyImages(images.few)
    expect([...(await openSource(images.all)).files].sort()).toEqual([...files, ...more].sort())
  })

  it.each(Object.keys(rows))('%s', async (name) => {
    const { pixels: checksums, apart = [], size } = rows[name]!
    const encoder = await openEncoder({ ...modelOf(name, work), device: 'cpu' })
    expect(encoder.dimensions.imageSize).toEqual(size)
    const dir = name.includes(', ') ? images.few : images.all
    const { pixels, names } = await samplesFor(encoder.config, dir)
    const place = (file: string) => names.indexOf(file)
    const [spec] = featureSpecs(encoder, [ownFeature(encoder)])
    const [values] = featuresOfBatch(encoder, [spec!])(pixels)
    const rowOf = (array: Float32Array, row: number) =>
      array.subarray(row * spec!.width, (row + 1) * spec!.width)
    const near = (expected: Float32Array) => {
      expect(expected.length).toBe(files.length * spec!.width)
      return files.flatMap((file, i) =>
        names.includes(file)
          ? [[file, cosine(rowOf(values!, place(file)), rowOf(expected, i))] as const]
          : [],
      )
    }
    for (const [file, found] of near(expectedFeatures(name)!))
      expect(found, file).toBeGreaterThanOrEqual(0.999)
    if (!checksums) return
    const bytes = pixels.pixels.length / pixels.shape[0]
    const checksum = (file: string) =>
      createHash('sha256')
        .update(pixels.pixels.subarray(place(file) * bytes, (place(file) + 1) * bytes))
        .digest('hex')
        .slice(0, 12)
    const compared = [...files, ...more].map((file, i) => [file, checksums[i]!] as const)
    const same = compared.filter(([file]) => names.includes(file) && !apart.includes(file))
    expect(same.map(([file]) => [file, checksum(file)])).toEqual(same)
    const ofPixels = expectedFeatures(name, '.pillow') ?? expectedFeatures(name)!
    for (const [file, found] of near(ofPixels)) expect(found, file).toBeGreaterThanOrEqual(0.9999)
  })
})
