import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { followPace } from '../../src/run/consumers/pace.ts'
import type { CostEvent, LoopEvent, RunProgress } from '../../src/run/events.ts'
import { openPace, stepsAhead } from '../../src/run/pace.ts'
import type { Run } from '../../src/run/run.ts'
import { untimed } from '../../src/train/span.ts'
import { run, sampleFolder, tinyConfig, workFolder } from './tiny.ts'

const config = (over: Parameters<typeof tinyConfig>[0] = {}) =>
  tinyConfig({ ...over, data: { prefetchBatches: 2, ...over.data }, checkpoint: { everySteps: 50 } })
const paced = (totalSteps: number, over: Parameters<typeof tinyConfig>[0] = {}) =>
  ({ config: config(over), recipe: { totalSteps }, span: untimed }) as unknown as Run

describe('openPace', () => {
  it('knows nothing before the first step', () => {
    const pace = openPace(paced(100))
    expect([pace.cost(), pace.left(0), pace.imagesPerSecond()]).toEqual([null, null, null])
  })

  it('takes the median of the recent steps, without those that warm up', () => {
    const pace = openPace(paced(100))
    pace.stepped(29, 20) // it waited 20 s for the first batch
    expect([pace.left(1), pace.imagesPerSecond()]).toEqual([99 * 9, 8 / 9])
    for (const seconds of [5, 1]) pace.stepped(seconds)
    expect(pace.left(3)).toBe(97) // 97 steps of 1 s
    for (const seconds of [2, 2, 8]) pace.stepped(seconds)
    expect([pace.left(6), pace.imagesPerSecond()]).toEqual([94 * 2, 4])
    for (let i = 0; i < 64; i++) pace.stepped(0.5) // only the last 64 count
    expect(pace.left(70)).toBe(15)
  })

  it('leaves out the steps whose batches were decoded before, as many as were', () => {
    expect(stepsAhead(config())).toBe(3)
    expect(stepsAhead(config({ data: { prefetchBatches: 9 }, train: { accumulate: 4 } }))).toBe(3) // ⌈10 / 4⌉
    const pace = openPace(paced(100, { data: { prefetchBatches: 5 } }))
    for (const seconds of [1, 1, 1, 1, 1, 1, 7]) pace.stepped(seconds)
    expect(pace.cost()?.step).toBe(7)
  })

  it('counts what is done between steps, from what was measured before until it is timed', async () => {
    const begun: string[] = []
    const pace = openPace(paced(100), { known: { checkpoint: 30 }, onBegin: (what) => begun.push(what) })
    pace.stepped(1)
    expect(pace.left(40)).toBe(60 + 2 * 30) // checkpoints after 50 and 100
    expect(pace.span('checkpoint', () => 'saved')).toBe('saved')
    await expect(pace.span('pictures', async () => 'drawn')).resolves.toBe('drawn')
    expect(pace.span('forward', () => 'not timed')).toBe('not timed')
    expect(begun).toEqual(['checkpoint', 'picture'])
    expect(pace.left(40)).toBeLessThan(60 + 2 * 30)
  })
})

describe('the cost of a run', () => {
  /** What is said of steps that take so long, of a run of 1,000 steps of 8 images, with so many images. */
  const said = (seconds: readonly number[], { isProbed = false } = {}) => {
    const state = { step: 0 }
    const shown: RunProgress[] = []
    const own = { ...paced(1000), state, source: { files: Array(400) } } as unknown as Run
    const known = isProbed ? { checkpoint: 100 } : {}
    const consumer = followPace(own, openPace(own, { known }), (progress) => shown.push(progress))
    const events = seconds.flatMap((stepSeconds, i) => {
      state.step = i + 1
      return consumer.on!({ kind: 'step', step: i + 1, stepSeconds } as LoopEvent) as CostEvent[]
    })
    return { events, shown, summary: consumer.summary!() }
  }

  it('is reported once, at the tenth step, and progress after each', () => {
    const { events, shown, summary } = said([9, 9, 9, ...Array(12).fill(2)])
    expect(events).toEqual([
      {
        ...{ kind: 'cost', step: 10, totalSteps: 1000, images: 400, epochs: 20 },
        ...{ stepSeconds: 2, imagesPerSecond: 4, secondsLeft: 1980, besideSeconds: 0 },
      },
    ])
    expect(shown.map(({ step }) => step)).toEqual(Array.from({ length: 15 }, (_, i) => i + 1))
    expect(shown.at(-1)).toMatchObject({
      doing: 'step',
      totalSteps: 1000,
      secondsLeft: 1970,
      imagesPerSecond: 4,
    })
    expect(summary.imagesPerSecond).toBeCloseTo((15 * 8) / 51, 12)
  })

  it('is reported earlier where steps are slow', () =>
    expect(said([50, 40, 40]).events).toMatchObject([{ step: 2, stepSeconds: 40 }]))

  it('has what is done between steps', () => {
    const { events } = said(Array(12).fill(2), { isProbed: true })
    expect(events).toMatchObject([{ secondsLeft: 1980 + 20 * 100, besideSeconds: 2000 }])
  })

  it('is reported once more where a first probe or picture takes much longer than all of it', () => {
    const state = { step: 0 }
    const own = { ...paced(1000), state, source: { files: Array(400) } } as unknown as Run
    let [checkpoint, steps] = [0, 0]
    const pace = {
      ...openPace(own),
      ...{ stepped: () => steps++, steps: () => steps, left: () => 0, imagesPerSecond: () => 4 },
      cost: () => ({ step: 1, checkpoint, picture: 0, probe: 0, curve: 0 }),
    }
    const consumer = followPace(own, pace)
    const told = Array.from({ length: 200 }, (_, i) => {
      state.step = i + 1
      if (state.step === 51) checkpoint = 3 // 20 of them are left: 60 s
      if (state.step === 101) checkpoint = 10 // 18 of them are left
      return (consumer.on!({ kind: 'step', step: i + 1, stepSeconds: 1 } as LoopEvent) as CostEvent[]).map(
        ({ step, secondsLeft }) => [step, secondsLeft],
      )
    }).flat()
    expect(told).toEqual([
      [10, 990],
      [101, 899 + 180],
    ])
  })

  it('is an event of a run, and the end says time, rate and where the loss began', async () => {
    const steps: number[] = []
    const out = join(await workFolder(), 'run')
    const events = await run({
      ...{
        config: tinyConfig({ train: { steps: 14 }, log: { everySteps: 5 } }),
        data: await sampleFolder(),
        out,
      },
      onProgress: ({ doing, step }) => doing === 'step' && steps.push(step),
    })
    expect(steps).toHaveLength(14) // logged or not
    expect(events.filter(({ kind }) => kind === 'cost')).toMatchObject([
      { step: 10, totalSteps: 14, images: 40, epochs: 2.8 },
    ])
    const [first] = events.filter((event) => event.kind === 'step')
    expect(events.at(-1)).toMatchObject({ kind: 'end', totalSteps: 14, firstLoss: first!.loss })
    const end = events.at(-1) as { seconds: number; imagesPerSecond: number }
    expect([end.seconds > 0, end.imagesPerSecond > 0]).toEqual([true, true])
  })
})
