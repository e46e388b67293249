import { expect, it } from 'vitest'
import { presetsMarkdown } from '../../experiments/presets.ts'

it('a row says what an encoder comes to beside random weights', () => {
  const report = { sha256: '1', report: {} as never }
  const table = presetsMarkdown([
    {
      ...{ format: 'sherd-presets/1', preset: 'mae-tiny', set: [], images: 20_096, loss: [2.25, 0.7034] },
      ...{ imagesPerSecond: 100, precision: 'bfloat16', threads: 2, commit: 'abc', machine: 'm' },
      top1: { knn: { own: 0.309, random: 0.3005 }, linear: { own: 0.45, random: 0.43 } },
      reports: { knn: report, linear: report },
      date: '2026-11-27T10:00:00Z',
    },
  ])
  expect(table.split('\n').at(-1)).toBe(
    '| mae-tiny | 20,096 | 2.250 → 0.703 | 30.90 (random 30.05) | 45.00 (random 43.00) | abc | 2026-11-27 |',
  )
})
