// Memory fills up once and then stays: what V8 compiles, and what the heaps of the threads that draw and decode keep.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { writeSampleData } from '../../src/sample-data/write-scenes.ts'
import { metricsOf, sherd, tiny, workFolder } from '../cli/sherd.ts'

it('a run of 4,000 steps with checkpoints and pictures', { timeout: 3_600_000 }, async () => {
  const cwd = await workFolder()
  await writeSampleData({ dir: join(cwd, 'images'), count: 100, size: 40, seed: 1 })
  const keys = {
    ...{ 'model.imageSize': 32, 'train.batchSize': 16 },
    ...{ 'checkpoint.everySteps': 50, 'log.pictureEverySteps': 100 },
  }
  // V8 doubles the room for new objects once, whatever they are: 20 MB that say nothing of the run.
  const env = { NODE_OPTIONS: '--max-semi-space-size=2' }
  const args = ['pretrain', 'mae-tiny-cifar10', '--data', 'images', '--out', 'run', '--steps', '4000']
  const { status } = await sherd([...args, ...tiny(keys)], { cwd, env })
  expect(status).toBe(0)
  const metrics = metricsOf(join(cwd, 'run'))
  const around = (step: number) => {
    const sorted = metrics
      .slice(step - 40, step)
      .map(({ residentBytes }) => residentBytes / 1e6)
      .sort((a, b) => a - b)
    return sorted[sorted.length >> 1]!
  }
  const [early, late, last] = [around(200), around(2000), around(4000)]
  console.log(
    `resident: ${[early, late, last].map((mb) => mb.toFixed(1)).join(', ')} MB at steps 200, 2,000 and 4,000`,
  )
  expect(late - early).toBeLessThan(45) // MB, whatever the model
  expect(last - late).toBeLessThan(15)
})
