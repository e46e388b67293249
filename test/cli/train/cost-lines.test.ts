import { describe, expect, it } from 'vitest'
import { costLines, roughly } from '../../../src/cli/train/cost-lines.ts'
import type { CostEvent } from '../../../src/run/events.ts'

const cost: CostEvent = {
  ...{ kind: 'cost', step: 10, totalSteps: 78_125, images: 50_000, epochs: 200 },
  ...{ stepSeconds: 2.765, imagesPerSecond: 46.3, secondsLeft: 216_000, besideSeconds: 400 },
}
const named = { isLengthNamed: true }

describe('costLines', () => {
  it('says what a run costs, and what to do about a long one', () => {
    expect(costLines(cost, named)).toEqual([
      '50,000 images × 200 epochs = 78,125 steps: about 60 h here',
      // 8 h are 10,416 steps
      'too long? stop it (Ctrl-C), and begin it again with --overwrite and --hours 8, or --steps 10010',
    ])
  })

  it('is silent about a short run, and gives no advice where the user named the length', () => {
    expect(costLines({ ...cost, secondsLeft: 29 }, named)).toEqual([])
    expect(costLines({ ...cost, secondsLeft: 3600 }, named)).toHaveLength(1)
    expect(costLines({ ...cost, secondsLeft: 3600, besideSeconds: 0 }, { isLengthNamed: false })).toEqual([
      expect.stringMatching(/about 60 min here$/),
      expect.stringMatching(/--hours 0\.25, or --steps 310$/), // 900 s of 2.765 s are 325 steps
    ])
  })

  it('says what is left of a run that continues, and what goes into other things than steps', () =>
    expect(costLines({ ...cost, step: 12_000, besideSeconds: 30_000 }, named)[0]).toBe(
      '50,000 images × 200 epochs = 78,125 steps, of which 12,000 are done: about 60 h are left here, of which 8.3 h are checkpoints, pictures and probes',
    ))
})

it.each([
  [7, '5 s'],
  [44, '45 s'],
  [100, '2 min'],
  [3600, '60 min'],
  [9000, '2.5 h'],
  [7200, '2 h'],
  [216_000, '60 h'],
  [432_000, '5 days'],
])('%d seconds are roughly %s', (seconds, text) => expect(roughly(seconds)).toBe(text))
