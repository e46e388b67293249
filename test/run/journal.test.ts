import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { appendMetric, readMetrics, readSkipped, rewindMetrics } from '../../src/run/journal.ts'
import type { StepEvent } from '../../src/train/events.ts'
import { workFolder } from './tiny.ts'

const event = (step: number): StepEvent => ({
  kind: 'step',
  step,
  epoch: step / 10,
  loss: 1 / step,
  parts: { pixels: 1 / step },
  metrics: {},
  learningRate: 1e-3,
  schedules: { learningRate: 1e-3, weightDecay: 0.05 },
  gradientNorm: 2,
  imagesPerSecond: 100,
  stepSeconds: 0.08,
  dataWaitSeconds: 0,
})

async function journalOf(...steps: number[]): Promise<string> {
  const path = join(await workFolder(), 'metrics.jsonl')
  for (const step of steps) appendMetric(path, event(step))
  return path
}
const stepsIn = (path: string) => readMetrics(path).map(({ step }) => step)

describe('the journal', () => {
  it('adds memory and time to a step, and reads back what it wrote', async () => {
    const path = join(await workFolder(), 'metrics.jsonl')
    const metric = appendMetric(path, event(3))
    const { kind: _kind, parts: _parts, metrics: _metrics, ...numbers } = event(3)
    expect(metric).toMatchObject(numbers)
    for (const left of ['kind', 'parts', 'metrics']) expect(metric).not.toHaveProperty(left)
    const several = { parts: { a: 1, b: 2 }, metrics: { used: 3 } }
    expect(appendMetric(await journalOf(), { ...event(3), ...several })).toMatchObject(several)
    expect(metric.residentBytes).toBeGreaterThan(1e6)
    expect(Math.abs(Date.parse(metric.time) - Date.now())).toBeLessThan(60_000)
    expect(readMetrics(path)).toEqual([metric])
    expect(readFileSync(path, 'utf8')).toMatch(/^\{.*\}\n$/)
  })

  it('is empty before the first step', async () => {
    const path = join(await workFolder(), 'metrics.jsonl')
    expect(readMetrics(path)).toEqual([])
    rewindMetrics(path, 5)
    expect(existsSync(path)).toBe(false)
  })

  it('forgets the steps after the one it is rewound to, and keeps that one', async () => {
    const path = await journalOf(1, 2, 3, 4, 5)
    rewindMetrics(path, 3)
    expect(stepsIn(path)).toEqual([1, 2, 3])
    appendMetric(path, event(4))
    expect(stepsIn(path)).toEqual([1, 2, 3, 4])
    rewindMetrics(path, 0)
    expect(stepsIn(path)).toEqual([])
  })

  it('leaves out a line that a crash cut off, and puts the next one on its own line', async () => {
    const path = await journalOf(1, 2, 3)
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, text.slice(0, -20))
    expect(stepsIn(path)).toEqual([1, 2])
    rewindMetrics(path, 2)
    appendMetric(path, event(3))
    expect(stepsIn(path)).toEqual([1, 2, 3])
    for (const line of readFileSync(path, 'utf8').trimEnd().split('\n'))
      expect(() => JSON.parse(line)).not.toThrow()
  })

  it('reads the skipped files', async () => {
    const path = join(await workFolder(), 'skipped.jsonl')
    expect(readSkipped(path)).toEqual([])
    writeFileSync(path, '{"file":"a.png","reason":"empty"}\n{"file":"b.p')
    expect(readSkipped(path)).toEqual([{ file: 'a.png', reason: 'empty' }])
  })
})
