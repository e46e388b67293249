import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { expect, it, vi } from 'vitest'
import { run } from '../../experiments/targets.ts'
import { cellsOf, imagesFor, rows, trainingsOf } from '../../experiments/targets-rows.ts'
import {
  barOf,
  comparison,
  pooledDeviation,
  type Result,
  tableFrom,
  tableMarkdown,
} from '../../experiments/targets-table.ts'
import { folderOfFile } from '../after-file.ts'

const alone = (name: string) => cellsOf(rows.filter((row) => row.name === name))

it('pools variances over seeds by degrees of freedom, without rows of one seed', () => {
  // Deviations 0.02 and 0: (2 · 0.0004 + 1 · 0) / 3.
  const { deviation, freedom } = pooledDeviation([[0.4, 0.42, 0.44], [0.5, 0.5], [0.3]])!
  expect(deviation).toBeCloseTo(0.0163299, 7)
  expect(freedom).toBe(3)
  expect(pooledDeviation([[0.3], [0.4]])).toBeNull()
})

it('a difference must be twice the deviation of a training, and twice that of the difference', () => {
  expect(barOf(0.01, 3, 3)).toBe(0.02) // that of the difference would be 0.0082
  expect(barOf(0.01, 1, 3)).toBeCloseTo(0.023094, 7) // 2 · 0.01 · √(1 + 1/3)
})

it('does each row once before further seeds, and what it needs before it', () => {
  const cells = cellsOf(rows)
  expect(cells[0]).toMatchObject({ row: { name: 'normalised' }, seed: 0 })
  expect(cells.findIndex(({ seed }) => seed > 0)).toBe(rows.length)
  expect(cells.filter(({ seed }) => seed === 2).map(({ row }) => row.name)).toEqual([
    'normalised',
    'raw',
    'hog',
    'block-40',
  ])
  expect(trainingsOf(alone('features'))).toEqual([
    { name: 'normalised', seed: 0 },
    { name: 'features', seed: 0 },
  ])
  expect(trainingsOf(alone('codes-vqkd')).map(({ name }) => name)).toEqual([
    'normalised',
    'vqkd',
    'codes-vqkd',
  ])
  expect(trainingsOf(alone('random-encoder'))).toEqual([])
})

it('as many images as fit, and never more than the table is meant to have', () => {
  // Judging: 12,000 images at 360/s and 30 s, together 63.3 s; what is left, at 200 images/s.
  expect(imagesFor(alone('grid'), 10, 200)).toBe(48_000)
  expect(imagesFor(alone('grid'), 2, 200)).toBeCloseTo(11_333.33, 1)
  expect(imagesFor(alone('features'), 5, 200)).toBeCloseTo(18_205.13, 1) // 236.7 s for 1 + 1.6 trainings
  expect(imagesFor(alone('grid'), 0.1, 200)).toBe(0)
})

const result = (row: string, seed: number, knn: number, linear: number): Result => ({
  ...{ format: 'sherd-targets/1', row, seed, preset: 'p', common: [], set: [], images: 8, steps: 1 },
  ...{ config: 'c0ffee', weights: 'beef', needs: null, loss: [2, 1], imagesPerSecond: 1 },
  ...{
    precision: 'fp32',
    threads: 1,
    top1: { knn, linear },
    commit: 'abc',
    machine: 'm',
    date: '2026-11-27',
  },
  reports: { knn: { sha256: '1', report: {} as never }, linear: { sha256: '2', report: {} as never } },
})

it('claims no direction of a difference that seeds may have made', () => {
  const results = [
    ...[0.4, 0.42, 0.44].map((knn, seed) => result('normalised', seed, knn, 0.5)),
    result('hog', 0, 0.47, 0.5), // 0.05 above, where 2 · 0.02 · √(4/3) = 0.0462 is resolved
    result('raw', 0, 0.38, 0.4), // 0.04 below
  ]
  const { lines, spread } = tableFrom(results)
  expect(spread.knn!.deviation).toBeCloseTo(0.02, 12)
  expect(lines.map(({ row }) => row)).toEqual(['normalised', 'raw', 'hog'])
  expect(lines.map(({ measured }) => measured.knn.difference)).toEqual([null, null, expect.closeTo(0.05, 12)])
  const table = tableMarkdown(results, 'p')
  expect(table).toContain(
    'Images seen by each training: 8 (fewer than 48,000, to fit the time that was given).',
  )
  expect(table).toContain('| hog | 1 | 47.00 | +5.00 |')
  expect(table).toContain('| raw | 1 | 38.00 | not resolved (below 4.62) |')
  expect(tableFrom([results[0]!, results[3]!]).lines[1]!.measured.knn).toMatchObject({
    bar: null,
    difference: null,
  })
})

it('compares a cell that was done again with a table', () => {
  const seeds = [0.4, 0.42, 0.44].map((knn, seed) => result('normalised', seed, knn, 0.5))
  const table = tableFrom(seeds) // deviations 0.02 and 0
  const [first] = seeds as [Result]
  const other = { ...first, weights: 'f00d', commit: 'def' }
  const of = (own: Result) => comparison([own], table)[0]
  expect(of({ ...first, commit: 'def' })).toBe('normalised, seed 0: the same weights, number by number')
  // 2 · 0.02 · √2 = 0.0566.
  expect(of({ ...other, top1: { knn: 0.45, linear: 0.5 } })).toBe(
    'normalised, seed 0: other weights (other commit); knn 45.00 here, 40.00 there: no more than seeds make; linear 50.00 here, 50.00 there',
  )
  expect(of({ ...other, top1: { knn: 0.46, linear: 0.5 } })).toContain('40.00 there: more than seeds make')
  expect(of(result('grid', 0, 0.4, 0.4))).toBe('grid, seed 0: not in the other table')
})

it('trains a row and what it needs, and leaves all that checks it; a second time it does nothing', async () => {
  const dir = folderOfFile()
  for (const part of ['train', 'test'])
    for (const [i, name] of ['dark', 'light'].entries()) {
      mkdirSync(join(dir, part, name), { recursive: true })
      for (let n = 0; n < 8; n++)
        await sharp({
          create: {
            width: 8,
            height: 8,
            channels: 3,
            background: { r: 100 * i + 9 * n, g: 90 * i, b: 40 + n },
          },
        }).toFile(join(dir, part, name, `${n}.png`))
    }
  const out = join(dir, 'out')
  const print = vi.spyOn(console, 'log').mockImplementation(() => {})
  vi.spyOn(console, 'error').mockImplementation(() => {})
  const command = [
    ...[
      '--data',
      dir,
      '--out',
      out,
      '--row',
      'features',
      '--images',
      '8',
      '--judged',
      '16',
      '--threads',
      '1',
    ],
    ...['train.batchSize=4', 'model.depth=1', 'decoder.depth=1', 'data.workers=1'].flatMap((key) => [
      '--set',
      key,
    ]),
  ]
  await run(command)
  const path = join(out, 'cells/features/seed-0/result.json')
  const text = readFileSync(path, 'utf8')
  const { top1, reports, images, steps, needs, config } = JSON.parse(text) as Result
  expect({ images, steps }).toEqual({ images: 8, steps: 2 })
  for (const measure of ['knn', 'linear'] as const) {
    const { sha256, report } = reports[measure]
    expect(createHash('sha256').update(JSON.stringify(report)).digest('hex')).toBe(sha256)
    expect(report.rows[report.chosen.at(-1)!]!.top1.mean).toBe(top1[measure])
    expect(report.model.path).toBe('cells/features/seed-0/run')
  }
  expect(needs).toMatchObject({
    name: 'normalised',
    weights: expect.stringMatching(/^[0-9a-f]{64}$/),
    last: { step: 2, loss: expect.any(Number) },
  })
  expect(config).not.toBeNull()
  expect(text).not.toContain(out) // no place of this machine
  const { mtimeMs } = statSync(path)
  await run([...command, '--against', join(out, 'results/table.json')])
  expect(statSync(path).mtimeMs).toBe(mtimeMs)
  expect(print.mock.calls.at(-2)![0]).toContain('| features | 1 |')
  expect(print.mock.lastCall![0]).toBe('features, seed 0: the same weights, number by number')
})
