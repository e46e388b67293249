import { describe, expect, it } from 'vitest'
import { plain } from '../../../src/cli/output.ts'
import { progressLine } from '../../../src/cli/progress.ts'
import { partsOf } from '../../../src/cli/train/step-line.ts'
import type { StepEvent } from '../../../src/train/events.ts'

const event = {
  ...{ kind: 'step', step: 1200, epoch: 3.1, loss: 0.43211, learningRate: 3.1e-4, gradientNorm: 1.204 },
  ...{ stepSeconds: 0.5, dataWaitSeconds: 0.01, metrics: { usedCodes: 511.25 }, parts: {}, schedules: {} },
  imagesPerSecond: 128,
} as StepEvent
const metrics = [{ name: 'metrics.usedCodes', kind: 'health', unit: 'codes' }] as const
const at = {
  doing: 'step',
  step: 1200,
  totalSteps: 78_125,
  secondsLeft: 7505,
  imagesPerSecond: 127.6,
} as const
const line = (columns: number | null, progress: Parameters<typeof partsOf>[0] = at) =>
  plain(progressLine(partsOf(progress, event, metrics), 1200 / 78_125, columns))

describe('the line of progress', () => {
  it('has everything where nothing is in the way', () =>
    expect(line(null)).toBe(
      '2 h 05 min left · 128 images/s · 1 % · step 1,200/78,125 · loss 0.4321 · usedCodes 511.3 codes · lr 3.1e-4 · grad 1.20 · data wait 2.0 % · epoch 3.10',
    ))

  it('keeps what matters most on a narrow terminal', () => {
    expect(line(40)).toBe('2:05 h · 128/s · 1 % · 1,200/78,125')
    expect(line(60)).toMatch(/^2:05 h · 128\/s · \S+ 1 % · 1,200\/78,125 · 0\.4321$/)
    for (let columns = 20; columns <= 200; columns++) expect(line(columns).length).toBeLessThan(columns)
  })

  it('says what is done between steps', () => {
    expect(line(null, { ...at, doing: 'probe' })).toMatch(
      /images\/s · 1 % · probing the encoder · step 1,200/,
    )
    expect(line(null, { ...at, doing: 'measuring' })).toBe('measuring how long a step takes here · 1 %')
  })

  it('begins with the step where nothing is known yet', () =>
    expect(line(null, { ...at, secondsLeft: null, imagesPerSecond: null })).toMatch(/^1 % · step 1,200/))
})
