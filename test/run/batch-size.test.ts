// Fewer images than a batch: a run of epochs gets batches that fit, and every one of its steps learns.
import { cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { runPaths } from '../../src/checkpoint/run-folder.ts'
import { fitBatch } from '../../src/run/batch-size.ts'
import { readMetrics } from '../../src/run/journal.ts'
import { run, sampleFolder, tinyConfig, workFolder } from './tiny.ts'

const ofEpochs = (train: object) => tinyConfig({ train: { steps: null, epochs: 2, ...train } })

it.each([
  [{ batchSize: 64 }, 4, [4, 1]],
  [{ batchSize: 16, accumulate: 4 }, 40, [16, 2]], // 32 of 40, and not 10 of 40
  [{ batchSize: 16, accumulate: 4 }, 15, [15, 1]],
  [{ batchSize: 8 }, 1, [1, 1]],
] as const)('%j of %d images becomes batch and accumulation %j', (train, images, expected) => {
  const { config, note } = fitBatch(ofEpochs(train), images)
  expect([config.train.batchSize, config.train.accumulate]).toEqual(expected)
  expect(note).toContain(`train.batchSize ${expected[0]}, train.accumulate ${expected[1]}`)
})

it('leaves batches that fit, and runs that say how many steps they want', () => {
  for (const config of [ofEpochs({ batchSize: 8 }), tinyConfig({ train: { batchSize: 64, steps: 5 } })])
    expect(fitBatch(config, 8)).toEqual({ config, note: null })
})

it('two epochs of four images are two steps that learn, and the run continues as it began', async () => {
  const [all, dir] = [await sampleFolder(10), await workFolder()]
  const [data, out] = [join(dir, 'four'), join(dir, 'run')]
  mkdirSync(data)
  const files = readdirSync(all, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.jpg'),
  )
  for (const [i, name] of files.slice(0, 4).entries()) cpSync(join(all, name), join(data, `${i}.jpg`))
  const config = ofEpochs({ batchSize: 64 })
  const events = await run({ config, data, out })
  expect(events[0]).toMatchObject({ kind: 'start', images: 4, effectiveBatch: 4, totalSteps: 2 })
  const warnings = events.filter((event) => event.kind === 'warning').map(({ message }) => message)
  expect(warnings).toEqual([
    expect.stringMatching(/^4 images are fewer than the 64 of a step, so a step takes 4/),
  ])
  const rates = readMetrics(runPaths(out).metrics).map(({ learningRate }) => learningRate)
  // No warm-up, which would be a tenth of a step: the peak of 4 images, and half of it.
  expect(rates).toEqual([(0.05 * 4) / 256, expect.closeTo((0.05 * 4) / 512, 12)])
  expect(JSON.parse(readFileSync(runPaths(out).config, 'utf8')).train).toMatchObject({ batchSize: 4 })
  // What was asked for at first continues with what it became.
  const more = await run({ config: ofEpochs({ batchSize: 64, epochs: 3 }), data, out, resume: true })
  expect(more[0]).toMatchObject({ firstStep: 2, totalSteps: 3, changes: ['train.epochs: 2 → 3'] })
})
