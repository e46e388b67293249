// One training run, killed by SIGKILL at fifty random moments (KILLS, KILL_SEED) and continued each time.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { writeSampleData } from '../../src/sample-data/write-scenes.ts'
import { workFolder } from '../cli/sherd.ts'
import { expectExactResume } from '../cli/train/killed-run.ts'

const kills = Number(process.env.KILLS ?? 50)
const seed = Number(process.env.KILL_SEED ?? 1)

it.each([
  ['accumulated, with the data set’s statistics', { 'train.accumulate': 2, 'data.statistics': 'dataset' }],
  [
    'in bfloat16, with two decoding threads and two of LibTorch',
    { 'train.precision': 'bf16', 'data.workers': 2, 'train.threads': 2 },
  ],
])(
  '%s: the last bytes are those of a run that was left alone',
  { timeout: 3_600_000 },
  async (name, keys) => {
    const cwd = await workFolder()
    await writeSampleData({ dir: join(cwd, 'images'), count: 50, size: 20, seed: 1 }) // a batch of 8 crosses the ends of epochs
    const { atSteps, whileSaving } = await expectExactResume({
      cwd,
      data: 'images',
      kills,
      steps: 40 * kills,
      seed,
      keys,
    })
    console.log(
      `${name}: ${atSteps.length} kills, ${whileSaving} of them while a checkpoint was saved, at steps ${atSteps.join(', ')}`,
    )
    expect(atSteps.length).toBe(kills)
  },
)
