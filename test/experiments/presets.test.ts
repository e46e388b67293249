import { expect, it } from 'vitest'
import { presetsMarkdown } from '../../experiments/presets.ts'

it('a row says what an encoder comes to beside random weights', () => {
  const report = { sha256: '1', report: {} as never }
  const run = {
    format: 'sherd-presets/1',
    set: [],
    images: 20_096,
    loss: [2.25, 0.7034],
    last: {},
    ...{ imagesPerSecond: 100, precision: 'bfloat16', threads: 2, commit: 'abc', machine: 'm' },
    date: '2026-11-27T10:00:00Z',
  } as const
  const table = presetsMarkdown([
    {
      ...{ ...run, preset: 'mae-tiny' },
      judged: {
        top1: { knn: { own: 0.309, random: 0.3005 }, linear: { own: 0.45, random: 0.43 } },
        reports: { knn: report, linear: report },
      },
    },
    { ...run, preset: 'vq-pixels-tiny', judged: null },
  ])
  expect(table.split('\n').slice(-2)).toEqual([
    '| mae-tiny | 20,096 | 2.250 → 0.703 | 30.90 (random 30.05) | 45.00 (random 43.00) | abc | 2026-11-27 |',
    '| vq-pixels-tiny | 20,096 | 2.250 → 0.703 |  |  | abc | 2026-11-27 |',
  ])
})
