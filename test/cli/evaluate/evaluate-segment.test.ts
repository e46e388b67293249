import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import type { SegmentationReport } from '../../../src/evaluate/evaluate-segmentation.ts'
import { rawPng } from '../../prepare/decode/make-png.ts'
import { writeMaskedSet } from '../../prepare/masks/make-masked.ts'
import { inProcess, tinyModel, workFolder } from '../sherd.ts'

let cwd: string
beforeAll(async () => {
  cwd = await workFolder()
  const size = { width: 40, height: 32 }
  await writeMaskedSet({ dir: join(cwd, 'shapes'), count: 40, ...size, seed: 1 })
  await writeMaskedSet({ dir: join(cwd, 'split/train'), count: 20, ...size, seed: 2 })
  await writeMaskedSet({ dir: join(cwd, 'split/val'), count: 10, ...size, seed: 3 })
  writeFileSync(join(cwd, 'split/classes.txt'), 'ground\nbox\ndisc\n')
})

const segment = (out: string, ...args: string[]) => segmentBy({}, out, ...args)
const segmentBy = (keys: Readonly<Record<string, unknown>>, out: string, ...args: string[]) =>
  inProcess(
    [
      ...['evaluate', 'segment', '--model', 'random', '--preset', 'mae-demo'],
      ...[...tinyModel({ 'data.statistics': 'imagenet', ...keys }), '--out', out, ...args],
    ],
    { cwd },
  )

describe.concurrent('sherd evaluate segment', () => {
  it('parts a folder, reports both heads, draws them', async () => {
    const { status, stdout } = await segment(
      ...(['a', '--data', 'shapes', '--seeds', '2', '--epochs', '12', '--rate', '0.01'] as const),
    )
    expect(status).toBe(0)
    expect(stdout).toMatch(/^linear +\d+\.\d\d ± \d+\.\d\d +\d+\.\d\d ± /mu)
    expect(stdout).toMatch(/^conv +/mu)
    const report = JSON.parse(readFileSync(join(cwd, 'a/report.json'), 'utf8')) as SegmentationReport
    expect(report.data).toMatchObject({ trainImages: 32, testImages: 8, skipped: 0 })
    expect(report.classes).toEqual(['class 0', 'class 1', 'class 2'])
    expect(report.seeds).toEqual([0, 1])
    // Colours tell the shapes apart, and even a random encoder lets them through.
    for (const { meanIou } of report.rows) expect(meanIou.mean).toBeGreaterThan(report.chance.meanIou + 0.1)
    expect(readFileSync(join(cwd, 'a/report.md'), 'utf8')).toMatch(/^# segment: mIoU \d/u)
    expect((await sharp(join(cwd, 'a/segmentation.png')).metadata()).format).toBe('png')
  })

  it('takes a folder of two with names, and one head', async () => {
    const args = ['--data', 'split', '--heads', 'linear', '--seeds', '1', '--epochs', '2', '--json']
    const { status, json } = await segment('b', ...args)
    expect(status).toBe(0)
    const [report] = json() as unknown as [SegmentationReport]
    expect(report.classes).toEqual(['ground', 'box', 'disc'])
    expect(report.data).toMatchObject({ trainImages: 20, testImages: 10 })
    expect(report.rows.map(({ head }) => head)).toEqual(['linear'])
    const pixels = report.rows[0]!.confusion.flat().reduce((a, b) => a + b, 0)
    expect(pixels).toBe(10 * 16 * 16)
  })

  it('leaves a number that is no class out of everything', async () => {
    const args = ['--data', 'split', '--ignore', '0', '--seeds', '1', '--epochs', '2', '--json']
    const [report] = (await segment('h', ...args)).json() as unknown as [SegmentationReport]
    expect(report.classes).toEqual(['box', 'disc'])
    const pixels = report.rows[0]!.confusion.flat().reduce((a, b) => a + b, 0)
    expect(pixels).toBeLessThan(10 * 16 * 16)
    const shares = report.rows[0]!.overlap.classes.map(({ share }) => share)
    expect(shares.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12)
    expect(report.chance.pixelAccuracy).toBeCloseTo(Math.max(...shares), 1)
  })

  it('refuses masks of objects, and a rate that spoils the head', async () => {
    const dir = join(cwd, 'objects')
    await writeMaskedSet({ dir, count: 2, width: 40, height: 40, seed: 4 })
    for (let i = 0; i < 2; i++) {
      const values = Array.from({ length: 1600 }, (_, p) => 20_000 + p)
      writeFileSync(
        join(dir, `masks/00${i}.png`),
        rawPng({ width: 40, height: 40, colour: 0, depth: 16, values }),
      )
    }
    const [objects, wild] = await Promise.all([
      segmentBy({ 'model.imageSize': 40 }, 'i', '--data', 'objects'),
      segment('j', '--data', 'split', '--rate', '1e38', '--seeds', '1', '--heads', 'conv'),
    ])
    expect(objects.stderr).toMatch(
      /hold 1600 numbers, up to 21599: expected classes, and not numbers of objects/,
    )
    expect([wild.status, wild.stderr]).toEqual([
      1,
      expect.stringMatching(
        /^error: The conv head \(seed 0\) gave a gradient norm of (NaN|Infinity) in epoch \d+/m,
      ),
    ])
  })

  it('says what is wrong with masks', async () => {
    const [two, many] = [join(cwd, 'two'), join(cwd, 'many')]
    for (const dir of [two, many]) await writeMaskedSet({ dir, count: 4, width: 20, height: 20, seed: 4 })
    for (let i = 0; i < 4; i++) {
      const values = Array.from({ length: 400 }, (_, p) => (p % 2 === 0 ? 0 : 255))
      writeFileSync(
        join(two, `masks/00${i}.png`),
        rawPng({ width: 20, height: 20, colour: 0, depth: 8, values }),
      )
    }
    writeFileSync(join(many, 'classes.txt'), 'a\nb\n')
    mkdirSync(join(cwd, 'empty'))
    const [binary, unnamed, none, head, kept] = await Promise.all([
      segment('c', '--data', 'two'),
      segment('d', '--data', 'many'),
      segment('e', '--data', 'empty'),
      segment('f', '--data', 'shapes', '--heads', 'linear,big'),
      segment('g', '--data', 'two', '--ignore', 'none', '--epochs', '1', '--seeds', '1', '--json'),
    ])
    expect(binary).toMatchObject({ stdout: '', status: 1 })
    expect(binary.stderr).toContain('hold class 0 alone beside 255, which counts as unlabelled')
    expect(unnamed.stderr).toContain('A mask holds class 2, but classes.txt names 2 (0 to 1)')
    expect(none.stderr).toContain('to have two folders: "images", and "masks"')
    expect(head.stderr).toContain('Expected linear or conv.')
    expect((kept.json() as unknown as [SegmentationReport])[0].classes).toEqual(['class 0', 'class 255'])
    rmSync(two, { recursive: true })
  })
})
