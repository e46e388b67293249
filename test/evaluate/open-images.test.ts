// Evaluation on features that are read in two goes.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { judge } from '../../src/evaluate/evaluate.ts'
import { knnDefaults } from '../../src/evaluate/knn.ts'
import { openImages } from '../../src/evaluate/open-images.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { folderOfFile } from '../after-file.ts'
import { colourFolder } from '../run/colour-folder.ts'
import { tinyConfig } from '../run/tiny.ts'

it('continues with the images that have no features yet, to the same report', async () => {
  const [train, test] = await Promise.all([colourFolder(24, 1), colourFolder(12, 2)])
  const work = join(folderOfFile(), 'features')
  const encoder = await openEncoder({ model: 'random', config: tinyConfig({}), device: 'cpu', seed: 1 })
  const settings = {
    ...({ ...knnDefaults, neighbours: [3], optimizer: 'lars', baseLearningRates: [1], epochs: 2 } as const),
    ...{ batchSize: 16, shots: [] },
  }
  const reportOf = async (more: Partial<Parameters<typeof openImages>[0]>) => {
    const images = await openImages({ encoder, data: { train, test }, ...more })
    const { seconds: _, ...report } = await judge(images, { protocol: 'linear', settings, seeds: [0] })
    return report
  }
  const abort = new AbortController()
  const stopAfter = ({ done }: { done: number }) => void (done === 24 && abort.abort())
  const stopped = reportOf({ work, signal: abort.signal, onProgress: stopAfter })
  await expect(stopped).rejects.toMatchObject({ code: 'INTERRUPTED' }) // after the training images
  const seen: string[] = []
  const continued = await reportOf({ work, onProgress: ({ dir, done }) => void seen.push(`${dir} ${done}`) })
  expect(seen).toEqual([`${train} 24`, `${test} 0`, `${test} 12`])
  expect(continued).toEqual(await reportOf({}))
  const again: number[] = []
  await reportOf({ work, onProgress: ({ done }) => void again.push(done) })
  expect(again).toEqual([24, 12]) // read from the journal
})
