import { mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { compareReports, comparisonMarkdown } from '../../src/evaluate/compare-reports.ts'
import { readReport } from '../../src/evaluate/read-report.ts'
import { folderOfFile } from '../after-file.ts'

let dir = ''
beforeAll(() => {
  dir = folderOfFile()
})

const spread = (mean: number, deviation: number) => ({ mean, deviation })

/** A report of two rows, of which the second counts. */
const reportOf = (top1: number, deviation: number, over: Record<string, unknown> = {}) => ({
  ...{
    format: 'sherd-evaluation/2',
    protocol: 'linear',
    model: { path: 'run', step: 10 },
    classes: ['a', 'b'],
  },
  ...{ seeds: [0, 1, 2], chosen: [1] },
  data: {
    ...{ train: 'x/train', test: 'x/test', trainImages: 80, testImages: 100 },
    fingerprints: { train: 'f0', test: 'f1' },
  },
  rows: [
    { group: '', pooling: 'cls', setting: 'base rate 1', top1: spread(0.1, 0) },
    {
      ...{ group: '', pooling: 'mean', setting: 'base rate 3', top1: spread(top1, deviation) },
      ...{ meanRecall: spread(top1 - 0.01, deviation), macroF1: spread(top1 - 0.02, deviation) },
    },
  ],
  ...over,
})

function write(name: string, report: unknown): string {
  mkdirSync(join(dir, name), { recursive: true })
  writeFileSync(join(dir, name, 'report.json'), JSON.stringify(report))
  return join(dir, name)
}

describe('compareReports', () => {
  it('gives differences to the first in shares, and whether they exceed both deviations together', () => {
    const paths = [
      write('first', reportOf(0.5, 0.02)),
      write('better', reportOf(0.56, 0.03)), // 0.06 > 0.02 + 0.03
      write('alike', reportOf(0.46, 0.03)), // 0.04 < 0.05
    ]
    const made = compareReports([...paths, paths[0]!])
    expect(made.rows.map(({ difference, exceedsSpread }) => [difference?.toFixed(6), exceedsSpread])).toEqual(
      [
        [undefined, null],
        ['0.060000', true],
        ['-0.040000', false],
      ],
    )
    expect(made.samplingError).toBeCloseTo(0.05, 12) // √(0.5 · 0.5 / 100)
    const markdown = comparisonMarkdown(made)
    const cells = markdown
      .split('\n')
      .flatMap((line) => (line.startsWith('|') ? [line.split(' | ').slice(1)] : []))
    expect(cells[0]).toEqual([
      ...['protocol', 'setting', 'top-1, %', 'difference', 'beyond ±', 'balanced, %', 'F1, % |'],
    ])
    expect(cells[3]).toEqual([
      ...['linear', 'mean, base rate 3', '56.00 ± 3.00', '+6.00', 'yes', '55.00 ± 3.00', '54.00 ± 3.00 |'],
    ])
    expect(cells[4]!.slice(2, 5)).toEqual(['46.00 ± 3.00', '−4.00', 'no'])
    expect(markdown).toContain('100 test images say a top-1 of 50.00 % to ± 5.00 points')
  })

  it('knows no spread of one seed, and none at all of nearest neighbours', () => {
    const knn = { protocol: 'knn', seeds: [0] }
    const paths = [
      write('knn', reportOf(0.5, 0, knn)),
      write('knn-2', reportOf(0.51, 0, knn)),
      write('single', reportOf(0.9, 0, { seeds: [0] })),
    ]
    const [, other, single] = compareReports(paths).rows
    expect(other).toMatchObject({ exceedsSpread: true, remarks: [] })
    expect(single).toMatchObject({ exceedsSpread: null, remarks: ['other protocol'] })
    expect(single!.difference).toBeCloseTo(0.4, 12)
  })

  it('marks other images and classes, without a difference; refuses where nothing compares', () => {
    const data = (train: string, test: string) => ({
      data: { ...reportOf(0, 0).data, fingerprints: { train, test } },
    })
    const paths = [
      write('base', reportOf(0.5, 0.02)),
      write('train', reportOf(0.6, 0.02, data('g0', 'f1'))),
      write('test', reportOf(0.7, 0.02, data('f0', 'g1'))),
      write('classes', reportOf(0.8, 0.02, { classes: ['a', 'c'] })),
    ]
    expect(
      compareReports(paths).rows.map(({ difference, remarks }) => [difference !== null, remarks]),
    ).toEqual([
      [false, []],
      [true, ['other training images']],
      [false, ['other test images']],
      [false, ['other classes']],
    ])
    expect(() => compareReports([paths[0]!, paths[2]!, paths[3]!])).toThrow(
      /Nothing can be compared with .*base.*: other test images, other classes\. Evaluate the models on the same images/s,
    )
    expect(() => compareReports([paths[0]!])).toThrow('Expected two reports or more to compare, got 1.')
  })

  it('compares each group of a few-shot report with its own', () => {
    const rows = (one: number, ten: number) => ({
      protocol: 'fewshot',
      chosen: [0, 1],
      rows: [
        { group: '1 %', pooling: 'cls', setting: 'base rate 1', top1: spread(one, 0.01) },
        { group: '10 %', pooling: 'cls', setting: 'base rate 1', top1: spread(ten, 0.01) },
      ],
    })
    const paths = [
      write('few', reportOf(0, 0, rows(0.2, 0.5))),
      write('few-2', reportOf(0, 0, rows(0.3, 0.4))),
    ]
    const differences = compareReports(paths).rows.map(({ difference }) => difference?.toFixed(3) ?? null)
    expect(differences).toEqual([null, null, '0.100', '-0.100'])
  })

  it('compares heads of segmentation by name, and no segmentation with a classification', () => {
    const segmentation = (linear: number, conv: number) => ({
      ...reportOf(0, 0, { format: 'sherd-segmentation/2', seeds: [0, 1] }),
      rows: Object.entries({ linear, conv }).map(([head, mean]) => ({
        ...{ head, meanIou: spread(mean, 0), pixelAccuracy: spread(0.9, 0), meanAccuracy: spread(0.8, 0) },
      })),
    })
    const paths = [write('seg', segmentation(0.3, 0.4)), write('seg-2', segmentation(0.35, 0.38))]
    const made = compareReports(paths)
    expect(made).toMatchObject({ of: 'segmentation', metric: 'meanIou', samplingError: null })
    expect(made.rows.map(({ difference }) => difference?.toFixed(3) ?? null)).toEqual([
      null,
      null,
      '0.050',
      '-0.020',
    ])
    expect(() => compareReports([paths[0]!, write('class', reportOf(0.5, 0))])).toThrow(
      /is of classification, .* of segmentation: they have no number in common/,
    )
  })

  it('finds the reports in the folders of a folder', () => {
    write('many/knn', reportOf(0.5, 0, { protocol: 'knn', seeds: [0] }))
    write('many/linear', reportOf(0.6, 0.1))
    expect(compareReports([join(dir, 'many')]).rows.map(({ protocol }) => protocol)).toEqual([
      'knn',
      'linear',
    ])
    expect(() => compareReports([tmpdir()])).toThrow(/holds no report: expected report\.json/)
    expect(() => compareReports([join(dir, 'absent')])).toThrow(/There is no .*absent/)
  })
})

describe('readReport', () => {
  it('reads the first version, which had no fingerprints, F1 or balanced accuracy', () => {
    const { fingerprints: _, ...data } = reportOf(0, 0).data
    const old = {
      ...reportOf(0.5, 0.02, { format: 'sherd-evaluation/1', data }),
      rows: [{ group: '', pooling: 'cls', setting: 'k = 5', top1: spread(0.5, 0), top5: null, heldOut: 0.4 }],
      ...{ chosen: [0], title: '', settings: {}, scores: {}, chance: 0.1, seconds: 1 },
    }
    const path = write('old', old)
    expect(readReport(join(path, 'report.json')).results).toEqual([
      {
        ...{ group: '', setting: 'cls, k = 5' },
        values: { top1: spread(0.5, 0), meanRecall: null, macroF1: null },
      },
    ])
    const [, row] = compareReports([path, write('new', reportOf(0.6, 0.02))]).rows
    expect(row!.remarks).toEqual(['test images known by their number only'])
  })

  it('refuses later versions, other files and halves', () => {
    const read = (name: string, report: unknown) => () => readReport(join(write(name, report), 'report.json'))
    expect(read('later', { format: 'sherd-evaluation/9' })).toThrow(
      /expected the format sherd-evaluation\/1 or \/2, .* got "sherd-evaluation\/9"\./,
    )
    expect(read('none', { a: 1 })).toThrow(/no report .* got none/)
    expect(read('list', null)).toThrow(/no report/)
    expect(read('half', { format: 'sherd-evaluation/2' })).toThrow(/is not whole: /)
    writeFileSync(join(dir, 'broken.json'), '{')
    expect(() => readReport(join(dir, 'broken.json'))).toThrow(/cannot be read as a report/)
  })
})
