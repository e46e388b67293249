// Resident memory after 2,000 steps is what it was after 200, and no tensor stays.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { writeSampleData } from '../../src/source/sample-data/write.ts'
import { metricsOf, sherd, tiny, workFolder } from '../cli/sherd.ts'

it('a run of 2,000 steps with checkpoints and pictures', { timeout: 3_600_000 }, async () => {
  const cwd = await workFolder()
  await writeSampleData({ dir: join(cwd, 'images'), count: 100, size: 40, seed: 1 })
  const keys = {
    'model.imageSize': 32,
    'train.batchSize': 16,
    'checkpoint.everySteps': 50,
    'log.pictureEverySteps': 100,
  }
  // V8 doubles the room for new objects once, whatever they are: 20 MB that say nothing of the run.
  const env = { NODE_OPTIONS: '--max-semi-space-size=2' }
  const args = ['pretrain', 'mae-tiny-cifar10', '--data', 'images', '--out', 'run', '--steps', '2000']
  const { status } = await sherd([...args, ...tiny(keys)], { cwd, env })
  expect(status).toBe(0)
  const metrics = metricsOf(join(cwd, 'run'))
  const megabytes = (from: number, to: number) => {
    const sorted = metrics
      .slice(from, to)
      .map(({ residentBytes }) => residentBytes / 1e6)
      .sort((a, b) => a - b)
    return sorted[sorted.length >> 1]!
  }
  const [early, late] = [megabytes(180, 220), megabytes(1960, 2000)]
  console.log(`resident: ${early.toFixed(1)} MB around step 200, ${late.toFixed(1)} MB around step 2,000`)
  expect(late - early).toBeLessThan(0.05 * early)
})
