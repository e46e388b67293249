import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openRun, runPaths } from '../../src/checkpoint/run-folder.ts'
import type { RunEvent } from '../../src/run/events.ts'
import { readMetrics, readNotes } from '../../src/run/journal.ts'
import { colourFolder } from './colour-folder.ts'
import { run, tinyConfig, workFolder } from './tiny.ts'

let data: string
beforeAll(async () => {
  data = await colourFolder(30, 1)
})

/** More than anything can take here, so that there are steps. */
const hours = 24
const config = (steps: number | null, over: Parameters<typeof tinyConfig>[0] = {}) =>
  tinyConfig({
    ...over,
    train: { steps, epochs: 3, ...over.train },
    checkpoint: { everySteps: 2 },
    log: { pictureEverySteps: 1000, probe: data, probeEverySteps: 1000, earlySeconds: 0 },
  })
const atStep = (step: number) => (event: RunEvent) => event.kind === 'checkpoint' && event.step === step
const moments = (out: string) =>
  readFileSync(join(runPaths(out).checkpoints, 'step-00000006', 'optimizer.safetensors'))
const losses = (out: string) =>
  readMetrics(runPaths(out).metrics).map(({ step, loss, learningRate }) => [step, loss, learningRate])

describe('a run that is fitted to a time', () => {
  let fitted: string
  let events: RunEvent[]
  beforeAll(async () => {
    fitted = join(await workFolder(), 'fitted')
    events = await run({ config: config(null), data, out: fitted, hours }, atStep(6))
  })
  const steps = () => openRun(fitted).config.train.steps!

  it('says what was measured and chosen, also in its journal', () => {
    const start = events.find((event) => event.kind === 'start')
    const said = events.find((event) => event.kind === 'fitted')!
    expect(start).toMatchObject({ totalSteps: steps(), firstStep: 0 })
    expect(said).toMatchObject({ hours, steps: steps(), epochs: (steps() * 8) / 30 })
    // What it expects is within the time, and one step more would not be.
    const { seconds, stepSeconds, checkpointSeconds, pictureSeconds, probeSeconds } = said
    expect(seconds).toBeLessThanOrEqual(0.98 * 3600 * hours)
    const oneMore = stepSeconds + checkpointSeconds + pictureSeconds + probeSeconds
    expect(seconds + oneMore).toBeGreaterThan(0.98 * 3600 * hours)
    expect([checkpointSeconds > 0, pictureSeconds > 0, probeSeconds > 0]).toEqual([true, true, true])
    expect(readNotes(runPaths(fitted).journal).map(({ event }) => event)).toEqual(['began', 'fitted'])
    expect(existsSync(runPaths(fitted).measuring)).toBe(false)
  })

  it('has the bytes and the configuration of the run of as many steps', async () => {
    const counted = join(await workFolder(), 'counted')
    await run({ config: config(steps()), data, out: counted }, atStep(6))
    expect(openRun(counted).config).toEqual(openRun(fitted).config)
    expect(losses(fitted)).toEqual(losses(counted))
    expect(moments(fitted).equals(moments(counted))).toBe(true)
  })

  it('keeps its steps when it is resumed, whatever is asked for', async () => {
    const before = steps()
    const asked = { config: openRun(fitted).config, out: fitted, resume: true, hours: 99 }
    const again = await run(asked, atStep(8))
    expect(again[0]).toMatchObject({ firstStep: 6, totalSteps: before })
    expect(openRun(fitted).facts.hours).toBe(hours)
  })
})

it.each<[string, object, number, string]>([
  ['is too short for a step', {}, 1e-6, 'USAGE'],
  ['cannot read its data', { model: { imageSize: 64, patchSize: 32 } }, 1, 'DATA_BROKEN'],
])('a run that %s leaves nothing behind', async (_, over, short, code) => {
  const out = join(await workFolder(), 'run')
  await expect(run({ config: config(null, over), data, out, hours: short })).rejects.toMatchObject({ code })
  expect(existsSync(out)).toBe(false)
})

it('a run that is stopped while it is measured leaves nothing behind', async () => {
  const out = join(await workFolder(), 'run')
  const stop = new AbortController()
  const stopped = run({
    ...{ config: config(null), data, out, hours, signal: stop.signal },
    onProgress: ({ doing }) => doing === 'measuring' && stop.abort(),
  })
  await expect(stopped).rejects.toMatchObject({ code: 'INTERRUPTED' })
  expect(existsSync(out)).toBe(false)
})
