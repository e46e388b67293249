import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { z } from 'zod'
import { runPaths } from '../../src/checkpoint/run-folder.ts'
import { openTrace, type Trace } from '../../src/run/trace.ts'
import { run, sampleFolder, tinyConfig, workFolder } from './tiny.ts'

// What the trace-event format asks of each kind of event.
const common = {
  name: z.string().min(1),
  ts: z.number().min(0),
  pid: z.number().int(),
  tid: z.number().int(),
}
const eventSchema = z.discriminatedUnion('ph', [
  z.strictObject({ ph: z.literal('X'), ...common, dur: z.number().min(0) }),
  z.strictObject({ ph: z.literal('C'), ...common, args: z.record(z.string(), z.number()) }),
  z.strictObject({ ph: z.literal('M'), ...common, args: z.strictObject({ name: z.string() }) }),
])
const readTrace = (path: string) => z.array(eventSchema).parse(JSON.parse(readFileSync(path, 'utf8')))
const spansOf = (path: string) => readTrace(path).flatMap((event) => (event.ph === 'X' ? [event] : []))

const open = async (steps: number, warmUp = 0): Promise<[string, Trace]> => {
  const path = join(await workFolder(), 'trace.json')
  return [path, openTrace({ path, steps, warmUp, device: 'cpu' })]
}
/** A clock that the trace reads and the test turns, in milliseconds. */
function stoppedClock(): (milliseconds: number) => void {
  let now = 1000
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now)
  onTestFinished(() => clock.mockRestore())
  return (milliseconds) => {
    now += milliseconds
  }
}

describe('a trace', () => {
  it('is complete from its first moment on, so no end of a process can spoil it', async () => {
    const [path, trace] = await open(1)
    expect(readTrace(path).map(({ ph }) => ph)).toEqual(['M', 'M'])
    await trace.span('step', async () => {
      trace.span('forward', () => {})
      expect(readTrace(path)).toHaveLength(2) // nothing is written within a step
    })
    expect(spansOf(path).map(({ name }) => name)).toEqual(['forward', 'step'])
  })

  it('nests what happens within, and waits for promises', async () => {
    const [path, trace] = await open(1)
    await trace.span('step', async () => {
      await trace.span('data wait', () => sleep(15))
      expect(trace.span('forward', () => trace.span('inner', () => 7))).toBe(7)
    })
    const spans = new Map(spansOf(path).map((span) => [span.name, span]))
    const [step, wait] = [spans.get('step')!, spans.get('data wait')!]
    expect(wait.dur).toBeGreaterThan(14_000)
    expect(wait.dur).toBeLessThan(step.dur)
    for (const [inner, outer] of [
      ['data wait', 'step'],
      ['forward', 'step'],
      ['inner', 'forward'],
    ].map((names) => names.map((name) => spans.get(name)!)) as [typeof step, typeof step][]) {
      expect(inner.ts).toBeGreaterThanOrEqual(outer.ts)
      expect(inner.ts + inner.dur).toBeLessThanOrEqual(outer.ts + outer.dur)
    }
  })

  it('sums up the parts of the steps and what they leave over', async () => {
    const [path, trace] = await open(2)
    const work = stoppedClock()
    const step = () => {
      trace.span('forward', () => trace.span('inner', () => work(6)))
      trace.span('backward', () => work(12))
      work(6)
    }
    for (let i = 0; i < 3; i++) trace.span('step', step)
    const { shares, steps, stepSeconds, path: written } = trace.profile()
    expect([written, steps, Object.keys(shares)]).toEqual([path, 2, ['forward', 'backward', 'other']])
    expect([stepSeconds, ...Object.values(shares)]).toEqual(
      [0.024, 0.25, 0.5, 0.25].map((value) => expect.closeTo(value, 12) as number),
    )
    const durations = spansOf(path).filter(({ name }) => name === 'step')
    expect(durations.map(({ dur }) => dur)).toEqual([24_000, 24_000])
  })

  it('records the steps after the warm-up, and between steps a bounded number of times', async () => {
    const [path, trace] = await open(2, 3)
    for (let i = 0; i < 1200; i++) {
      trace.span('step', () => trace.span('forward', () => i))
      trace.counters(() => ({ loss: i }))
      trace.span('checkpoint', () => i)
    }
    const spans = spansOf(path).map(({ name }) => name)
    expect(spans.filter((name) => name === 'step')).toHaveLength(2)
    expect(spans.filter((name) => name === 'forward')).toHaveLength(2)
    expect(spans.filter((name) => name === 'checkpoint')).toHaveLength(1000)
    const losses = readTrace(path).flatMap((event) => (event.ph === 'C' ? [event.args.value] : []))
    expect(losses).toEqual([3, 4])
  })

  it('ends a span that throws, or whose promise rejects, and passes the error on', async () => {
    const [path, trace] = await open(2)
    const fail = () => {
      throw new Error('boom')
    }
    expect(() => trace.span('step', () => trace.span('forward', fail))).toThrow('boom')
    await expect(trace.span('step', async () => fail())).rejects.toThrow('boom')
    expect(spansOf(path).map(({ name }) => name)).toEqual(['forward', 'step', 'step'])
  })

  it('of no step has nothing to share', async () => {
    const [path, trace] = await open(1, 1)
    trace.span('step', () => 1)
    expect(trace.profile()).toEqual({ path, steps: 0, stepSeconds: 0, shares: {} })
  })

  it('that cannot be written says so at once', async () => {
    const path = await workFolder()
    expect(() => openTrace({ path, steps: 1, warmUp: 0, device: 'cpu' })).toThrow(
      /Cannot write the trace .*EISDIR/,
    )
  })
})

describe('a profiled run', () => {
  it('covers its steps with the five parts, and shows checkpoints, pictures and counters', async () => {
    const out = join(await workFolder(), 'run')
    // Large enough that a step takes some 50 ms: the smallest model's steps are mostly the loop around them.
    const config = tinyConfig({
      model: { width: 128, depth: 4, heads: 4 },
      train: { steps: 8, batchSize: 64 },
      log: { pictureEverySteps: 8 },
    })
    const events = await run({ config, data: await sampleFolder(), out, profile: { steps: 4 } })
    const path = runPaths(out).trace
    const profile = events.find(({ kind }) => kind === 'profile')
    expect(events.at(-1)).toMatchObject({ kind: 'end', reason: 'completed' })
    expect(profile).toMatchObject({ path, steps: 4 })
    const { shares } = profile as unknown as { shares: Record<string, number> }
    expect(Object.keys(shares)).toEqual([
      'data wait',
      'upload',
      'masks',
      'forward',
      'backward',
      'optimizer',
      'other',
    ])
    // That no operator runs outside of the parts, the objectives' suite checks.
    expect(shares.other).toBeGreaterThanOrEqual(0)
    const count = (name: string) => readTrace(path).filter((event) => event.name === name).length
    expect(['step', 'forward', 'checkpoint', 'pictures', 'loss', 'live tensors'].map(count)).toEqual([
      4, 4, 1, 1, 4, 4,
    ])
  })

  it('counts as the same run: the losses are those without a profile', async () => {
    const data = await sampleFolder()
    const lossesOf = async (profile?: { steps: number; path: string }) => {
      const out = join(await workFolder(), 'run')
      const events = await run({ config: tinyConfig(), data, out, ...(profile && { profile }) })
      return events.flatMap((event) => (event.kind === 'step' ? [event.loss] : []))
    }
    const path = join(await workFolder(), 'elsewhere.json')
    expect(await lossesOf({ steps: 2, path })).toEqual(await lossesOf())
    expect(spansOf(path).filter(({ name }) => name === 'step')).toHaveLength(2)
  })
})
