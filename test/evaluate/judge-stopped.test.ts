// A protocol on frozen features that is stopped within a fit, and started again on the same work.
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { judgeWithMap } from '../../src/evaluate/evaluate.ts'
import { type OpenedImages, openImages } from '../../src/evaluate/open-images.ts'
import type { ProtocolName } from '../../src/evaluate/protocols.ts'
import { liveTensors } from '../../src/tensor/scope.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { colourFolder } from '../run/colour-folder.ts'
import { tinyConfig, workFolder } from '../run/tiny.ts'

let images: OpenedImages
beforeAll(async () => {
  const [train, test] = await Promise.all([colourFolder(48, 1), colourFolder(12, 2)])
  const encoder = await openEncoder({ model: 'random', config: tinyConfig({}), device: 'cpu', seed: 1 })
  images = await openImages({ encoder, data: { train, test } })
})

const settings = {
  ...({ neighbours: [1, 3], temperature: 0.07, optimizer: 'lars', baseLearningRates: [1, 10] } as const),
  ...{ epochs: 4, batchSize: 1024, shots: [{ perClass: 4 }, { share: 0.5 }] },
}

/** Without its time. */
async function judged(protocol: ProtocolName, work?: string, last?: number) {
  const abort = new AbortController()
  const seen: number[] = []
  const onPiece = (done: number, of: number) => {
    seen.push(done)
    expect(done <= of).toBe(true)
    if (last !== undefined && done > last) abort.abort()
  }
  const options = { protocol, settings, seeds: [0, 1], signal: abort.signal, onPiece }
  const { report, map } = await judgeWithMap(images, { ...options, ...(work && { work }) })
  const { seconds, ...rest } = report
  expect(seconds).toBeGreaterThan(0)
  return { report: rest, map, seen }
}

// Poolings of each number of images and seed, and of the held-out part.
describe.each<[ProtocolName, number]>([
  ['knn', 4],
  ['linear', 6],
  ['fewshot', 12],
])('%s', (protocol, fits) => {
  it('continues behind the fits that are done, to the same report and map', async () => {
    const whole = await judged(protocol)
    expect([whole.seen[0], whole.seen.at(-1)]).toEqual([0, fits])
    const work = join(await workFolder(), 'work')
    const before = liveTensors()
    // Within the first fit, within one of the test images, within one of the held-out images.
    for (const [last, done] of [
      [0.2, 0],
      [1.2, 1],
      [fits - 1.8, fits - 2],
    ] as const)
      await expect(judged(protocol, work, last)).rejects.toMatchObject({
        code: 'INTERRUPTED',
        message: `Stopped after ${done} of ${fits} fits of ${protocol}; the same command continues.`,
      })
    expect(liveTensors()).toBe(before)
    const { seen, ...found } = await judged(protocol, work)
    expect(found).toEqual({ report: whole.report, map: whole.map })
    expect([seen[0], seen.at(-1)]).toEqual([fits - 2, fits])
    const again = await judged(protocol, work)
    expect(again).toEqual({ ...found, seen: [fits] })
  })
})
