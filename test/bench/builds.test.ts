import { describe, expect, it } from 'vitest'
import {
  type BuildsResults,
  buildsPage,
  buildsTable,
  buildsWorks,
  compareRounds,
} from '../../bench/builds.ts'
import { presetOf } from '../../src/config/presets.ts'

describe('two builds in turns', () => {
  it('are compared by the median and the quartiles of their rounds', () => {
    expect(compareRounds([0.9, 1.1, 1, 1.3, 1.2])).toEqual({
      median: 1.1,
      quartiles: [1, 1.2],
      isAsFast: true,
    })
    const { median, quartiles } = compareRounds([4, 1, 3, 2])
    expect([median, ...quartiles]).toEqual([2.5, 1.75, 3.25])
  })

  it.each([
    ['a median of 0.98', [0.97, 0.98, 0.99], true],
    ['less, with 1 between the quartiles', [0.9, 0.97, 1.05], true],
    ['less, with 1 above them', [0.9, 0.97, 0.98], false],
    ['a much faster one', [1.4, 1.5, 1.6], true],
  ])('are as fast or not: %s', (_, ratios, isAsFast) => {
    expect(compareRounds(ratios).isAsFast).toBe(isAsFast)
  })

  it('have rows of their own names, of presets', () => {
    expect(new Set(buildsWorks.map(({ name }) => name)).size).toBe(6)
    for (const { preset } of buildsWorks) expect(presetOf(preset).config.train?.batchSize).toBeGreaterThan(0)
  })

  it('give a table and a page', () => {
    const results: BuildsResults = {
      ...{ date: '2026-01-01', commits: { before: 'aaaaaaa', now: 'bbbbbbb' }, rounds: 3 },
      machine: {
        cpu: 'CPU',
        cores: 2,
        memoryGiB: 8,
        bfloat16: null,
        gpu: null,
        libtorch: '2.6.0',
        node: '20',
      },
      rows: [
        {
          ...{ name: 'tiny', work: 'ViT-Tiny', batch: 128, precision: 'float32', threads: 2 },
          ...{ before: 97, now: 100, roundRatios: [0.9, 0.97, 0.98], ...compareRounds([0.9, 0.97, 0.98]) },
          peakBytes: { before: 9e8, now: 1e9 },
        },
      ],
    }
    expect(buildsTable(results).split('\n')[1]).toMatch(
      /^ViT-Tiny +97\.0 ms +100\.0 ms +0\.970 × +0\.935–0\.975 +NO +900 \/ 1000 MB$/,
    )
    const page = buildsPage(results)
    expect(page).toContain('# bbbbbbb beside aaaaaaa, 2026-01-01')
    expect(page).toContain('| ViT-Tiny | 97.0 ms | 100.0 ms | 0.970 × | 0.935–0.975 | NO | 900 / 1000 MB |')
  })
})
