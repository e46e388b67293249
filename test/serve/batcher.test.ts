import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Session, TensorData } from '../../src/onnx/session.ts'
import { type BatcherOptions, batcher, type SampleInputs } from '../../src/serve/batcher.ts'

const sample = (...values: number[]): SampleInputs => ({
  x: { values: Float32Array.from(values), shape: [values.length] },
})

interface Held {
  readonly rows: number
  readonly finish: () => void
  readonly fail: (error: Error) => void
}

/** A session that doubles, and whose runs end when the test says so, or at once. */
function doubling(isHeld = false) {
  const runs: Held[] = []
  const session: Session = {
    async run(inputs, wanted) {
      const { values, shape } = (inputs as Record<string, TensorData>).x!
      await new Promise<void>((resolve, reject) => {
        runs.push({ rows: shape[0]!, finish: resolve, fail: reject })
        if (!isHeld) resolve()
      })
      const doubled = { shape, values: (values as Float32Array).map((x) => 2 * x) }
      return Object.fromEntries(wanted.map((name) => [name, doubled])) as never
    },
    close: async () => {},
  }
  return { runs, session }
}

const forever = new AbortController().signal
const open = (session: Session, over: Partial<BatcherOptions> = {}) =>
  batcher({ session, mostTogether: 4, mostWait: 1e6, mostQueued: 100, onTheWay: () => 0, ...over })

describe('a batcher', () => {
  it('gives every sample its own row', async () => {
    const { session } = doubling()
    const { run } = open(session)
    const outputs = await Promise.all([1, 2, 3, 4, 5].map((x) => run(sample(x, -x), ['y'], forever)))
    expect(outputs.map(({ y }) => [...y!.values])).toEqual([1, 2, 3, 4, 5].map((x) => [2 * x, -2 * x]))
    expect(outputs[0]!.y!.shape).toEqual([2])
  })

  it('computes at once what is alone, and waits for what is on its way', async () => {
    const { runs, session } = doubling()
    let onTheWay = 0
    const { run } = open(session, { onTheWay: () => onTheWay })
    await run(sample(1), ['y'], forever)
    onTheWay = 1
    const first = run(sample(2), ['y'], forever)
    await sleep(20)
    expect(runs).toHaveLength(1)
    onTheWay = 0
    await Promise.all([first, run(sample(3), ['y'], forever)])
    expect(runs.map(({ rows }) => rows)).toEqual([1, 2])
  })

  it('does not wait longer than it may, nor for what will not come', async () => {
    const { runs, session } = doubling()
    const patient = open(session, { onTheWay: () => 1, mostWait: 20 })
    await patient.run(sample(1), ['y'], forever)
    let onTheWay = 1
    const other = open(session, { onTheWay: () => onTheWay })
    const waiting = other.run(sample(2), ['y'], forever)
    onTheWay = 0
    other.nudge()
    await waiting
    expect(runs).toHaveLength(2)
  })

  it('gathers while the session is busy, and never more than it may', async () => {
    const { runs, session } = doubling(true)
    const batches = open(session)
    const answers = Array.from({ length: 11 }, (_, i) => batches.run(sample(i), ['y'], forever))
    // The first was alone; four filled a batch that is with the session already; six wait.
    expect([runs.map(({ rows }) => rows), batches.queued]).toEqual([[1, 4], 6])
    runs[0]!.finish()
    await answers[0]
    await sleep(0)
    expect([runs.map(({ rows }) => rows), batches.queued]).toEqual([[1, 4, 4], 2])
    for (const done of [1, 2, 3]) {
      runs[done]!.finish()
      await sleep(5)
    }
    expect(runs.map(({ rows }) => rows)).toEqual([1, 4, 4, 2])
    expect((await Promise.all(answers)).map(({ y }) => y!.values[0])).toEqual(answers.map((_, i) => 2 * i))
  })

  it('keeps samples of different shapes and different wishes apart', async () => {
    const { runs, session } = doubling(true)
    const { run } = open(session)
    const all = [
      run(sample(0), ['y'], forever),
      run(sample(1), ['y'], forever),
      run(sample(1, 2), ['y'], forever),
      run(sample(2), ['z'], forever),
      run(sample(3), ['y'], forever),
    ]
    for (let done = 0; done < 4; done++) {
      runs[done]!.finish()
      await sleep(5)
    }
    await Promise.all(all)
    expect(runs.map(({ rows }) => rows)).toEqual([1, 2, 1, 1])
  })

  it('drops what nobody waits for any more', async () => {
    const { runs, session } = doubling(true)
    const batches = open(session)
    const busy = batches.run(sample(0), ['y'], forever)
    const client = new AbortController()
    const gone = batches.run(sample(1), ['y'], client.signal)
    const stays = batches.run(sample(2), ['y'], forever)
    client.abort(new Error('the client has gone'))
    await expect(gone).rejects.toThrow('the client has gone')
    await expect(batches.run(sample(3), ['y'], client.signal)).rejects.toThrow('the client has gone')
    expect(batches.queued).toBe(1)
    runs[0]!.finish()
    await busy
    await sleep(0)
    runs[1]!.finish()
    await stays
    expect(runs.map(({ rows }) => rows)).toEqual([1, 1])
  })

  it('refuses more than may wait', async () => {
    const { runs, session } = doubling(true)
    const batches = open(session, { mostQueued: 2 })
    const all = [0, 1, 2].map((x) => batches.run(sample(x), ['y'], forever))
    await expect(batches.run(sample(3), ['y'], forever)).rejects.toMatchObject({
      code: 'BUSY',
      headers: { 'retry-after': '1' },
    })
    for (let done = 0; done < 2; done++) {
      runs[done]!.finish()
      await sleep(5)
    }
    await Promise.all(all)
  })

  it('fails every request of a batch that failed, and computes the next one', async () => {
    const { runs, session } = doubling(true)
    const { run } = open(session)
    const first = run(sample(1), ['y'], forever)
    runs[0]!.fail(new Error('no memory'))
    await expect(first).rejects.toThrow('no memory')
    const second = run(sample(2), ['y'], forever)
    runs[1]!.finish()
    expect((await second).y!.values[0]).toBe(4)
  })
})
