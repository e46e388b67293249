import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { runPaths } from '../../src/checkpoint/run-folder.ts'
import { openEarly } from '../../src/run/early.ts'
import { colourFolder } from './colour-folder.ts'
import { run, tinyConfig, workFolder } from './tiny.ts'

/** The steps up to `most` that are early, where each takes so many seconds. */
function earlySteps(
  options: { totalSteps: number; firstStep?: number; seconds?: number },
  each: number,
  most: number,
) {
  let time = 0
  const isEarly = openEarly({ firstStep: 0, seconds: 60, ...options, now: () => 1000 * time })
  return Array.from({ length: most }, (_, i) => i + 1).filter((step) => {
    time += each
    return isEarly(step) && isEarly(step) // three things are made at it
  })
}

it('the early look is after 1 % of the steps or a minute, but not before the second step, and once', () => {
  expect(earlySteps({ totalSteps: 1200 }, 0.1, 1200)).toEqual([12])
  expect(earlySteps({ totalSteps: 1001 }, 0.1, 1001)).toEqual([11])
  expect(earlySteps({ totalSteps: 78_125 }, 20, 500)).toEqual([3]) // 781 steps would be four hours
  expect(earlySteps({ totalSteps: 78_125 }, 90, 500)).toEqual([2])
})

it('a short run has it after a minute and no sooner, one that continues or switches it off not at all', () => {
  expect(earlySteps({ totalSteps: 999 }, 0.1, 999)).toEqual([600])
  expect(earlySteps({ totalSteps: 999 }, 0.01, 999)).toEqual([])
  expect(earlySteps({ totalSteps: 5000, firstStep: 500 }, 20, 500)).toEqual([])
  expect(earlySteps({ totalSteps: 5000, seconds: 0 }, 20, 500)).toEqual([])
})

it('draws, probes and saves early, and changes no bit of the training', async () => {
  const probe = await colourFolder(30, 1)
  const trained = async (earlySeconds: number) => {
    const out = join(await workFolder(), 'run')
    const config = tinyConfig({
      train: { steps: 6 },
      log: { earlySeconds, pictureEverySteps: 5, probe, probeEverySteps: 5 },
      checkpoint: { everySteps: 5 },
    })
    const events = await run({ config, data: probe, out })
    const made = events.flatMap((event) =>
      ['checkpoint', 'picture', 'probe'].includes(event.kind) && 'step' in event
        ? [`${event.kind} ${event.step}`]
        : [],
    )
    const { checkpoints, samples } = runPaths(out)
    // The file of weights has the configuration, too, which differs.
    const last = readFileSync(join(checkpoints, 'step-00000006', 'optimizer.safetensors'))
    return { made, last, kept: readdirSync(checkpoints).sort(), drawn: readdirSync(samples).sort() }
  }
  const early = await trained(1e-9) // at the first useful step
  const usual = await trained(0)
  const later = ['checkpoint 5', 'picture 5', 'probe 5', 'checkpoint 6', 'probe 6']
  expect(usual.made).toEqual(later)
  expect(early.made).toEqual(['checkpoint 2', 'picture 2', 'probe 2', ...later])
  expect(early.last.equals(usual.last)).toBe(true)
  // It is no checkpoint that was due, so it goes when one is.
  expect(early.kept).toEqual(['step-00000005', 'step-00000006'])
  expect(early.drawn).toEqual(['step-00000002.png', 'step-00000005.png', 'step-00000006.png'])
})
