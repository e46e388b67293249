// A request has its answer in time, or a refusal; what nobody waits for any more is not done. Clocks are faked, and decoders and graphs held.
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Session } from '../../src/onnx/session.ts'
import type { Server } from '../../src/serve/serve.ts'
import { scene } from '../prepare/decode/make-images.ts'
import { bodyOf, exportTiny, startServer, tinyModel } from './make-served.ts'
import { dial, get, type Line, metric, post, postHead, statusesIn, until } from './raw.ts'

/** What is held where, until the test lets it go. */
const held = vi.hoisted(() => ({
  decoding: false,
  computing: false,
  waiting: [] as (() => void)[],
  done: [] as string[],
}))
const hold = (what: 'decoding' | 'computing') =>
  held[what] ? new Promise<void>((resolve) => held.waiting.push(resolve)) : Promise.resolve()

vi.mock('../../src/prepare/decode/decode.ts', async (original) => {
  const real = await original<typeof import('../../src/prepare/decode/decode.ts')>()
  const tryDecodeBytes: typeof real.tryDecodeBytes = async (...args) => {
    held.done.push('decode')
    await hold('decoding')
    return real.tryDecodeBytes(...args)
  }
  return { ...real, tryDecodeBytes }
})
vi.mock('../../src/serve/models.ts', async (original) => {
  const real = await original<typeof import('../../src/serve/models.ts')>()
  const openModels: typeof real.openModels = async (...args) =>
    (await real.openModels(...args)).map((model) => {
      // As the thread of a session: one run after the other, and none that was dropped before its turn.
      let turn = Promise.resolve()
      const run = async (...[inputs, wanted, signal]: Parameters<Session['run']>) => {
        const before = turn
        let end = () => {}
        turn = new Promise((resolve) => {
          end = resolve
        })
        try {
          await before
          signal?.throwIfAborted()
          held.done.push('compute')
          await hold('computing')
          return await model.session.run(inputs, wanted)
        } finally {
          end()
        }
      }
      return { ...model, session: { ...model.session, run: run as Session['run'] } }
    })
  return { ...real, openModels }
})

let server: Server
let exported = ''
let image: Buffer
beforeAll(async () => {
  exported = await exportTiny(await tinyModel(), ['encoder'])
  image = await (await scene(40, 30, 1)).jpeg().toBuffer()
  server = await startServer({ model: exported, mostTogether: 1 })
})

beforeEach(() => {
  held.done.length = 0
  return () => {
    vi.useRealTimers()
    release()
  }
})
const release = () => {
  held.decoding = false
  held.computing = false
  for (const go of held.waiting.splice(0)) go()
}

const LIMIT = 30_000 // of limitDefaults.answerMs
const fake = () => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
const asking = async (count: number, from = server): Promise<Line[]> => {
  const lines = await Promise.all(Array.from({ length: count }, () => dial(from.port)))
  for (const { socket } of lines) socket.write(post(image))
  return lines
}
const answered = (lines: readonly Line[]) => until(() => lines.every((line) => line.received().endsWith('}')))
const doing = (what: string) => held.done.filter((each) => each === what).length
const embed = () => fetch(`${server.url}/v1/embed`, bodyOf(image))

describe('at its limit a request is refused', () => {
  it('while its image is decoded; those that wait for that are not', async () => {
    held.decoding = true
    fake()
    const lines = await asking(10)
    await until(() => doing('decode') === 3) // of libuv's four threads
    await until(async () => (await metric(server.url, 'sherd_body_bytes')) === 10 * image.length)
    vi.advanceTimersByTime(LIMIT - 1)
    expect(lines.map((line) => line.received())).toEqual(Array(10).fill(''))
    vi.advanceTimersByTime(1)
    await answered(lines)
    for (const line of lines)
      expect(line.received()).toMatch(
        /^HTTP\/1.1 503 .*retry-after: 1.*"TIMEOUT","message":"no answer within 30 s/s,
      )
    vi.useRealTimers()
    release()
    expect((await embed()).status).toBe(200)
    expect([doing('decode'), doing('compute')]).toEqual([4, 1]) // the three, and that of the last
  })

  it('while it is computed; the batches behind it are not', async () => {
    held.computing = true
    fake()
    const lines = await asking(10)
    await until(() => doing('decode') === 10)
    await until(async () => (await metric(server.url, 'sherd_queue_images{graph="encoder"}')) === 8) // two are with the session
    vi.advanceTimersByTime(LIMIT)
    await answered(lines)
    expect(lines.map((line) => statusesIn(line.received()))).toEqual(Array(10).fill([503]))
    vi.useRealTimers()
    release()
    expect((await embed()).status).toBe(200)
    expect(doing('compute')).toBe(2)
  })

  it('while its body has not come', async () => {
    fake()
    const line = await dial(server.port)
    line.socket.write(`${postHead(1000)}few`)
    await until(async () => (await metric(server.url, 'sherd_body_bytes')) === 3)
    vi.advanceTimersByTime(LIMIT)
    await answered([line])
    expect(line.received()).toMatch(/^HTTP\/1.1 503 .*"TIMEOUT"/s)
    // The rest is dropped, and counts for nothing.
    line.socket.write(Buffer.concat([Buffer.alloc(997), Buffer.from(get('/health'))]))
    await until(() => line.received().includes('"ok"'))
    expect(await metric(server.url, 'sherd_body_bytes')).toBe(0)
  })
})

it('what a client that has gone had asked for is neither decoded nor computed', async () => {
  held.decoding = true
  const lines = await asking(10)
  await until(() => doing('decode') === 3)
  await until(async () => (await metric(server.url, 'sherd_body_bytes')) === 10 * image.length)
  for (const { socket } of lines) socket.destroy()
  await until(async () => (await metric(server.url, 'sherd_body_bytes')) === 0)
  release()
  expect((await embed()).status).toBe(200)
  expect([doing('decode'), doing('compute')]).toEqual([4, 1])
})

describe('a stop', () => {
  it('waits for what can be answered', async () => {
    held.computing = true
    const stopping = await startServer({ model: exported })
    const lines = await asking(4, stopping)
    await until(() => doing('decode') === 4 && doing('compute') === 1)
    const stopped = stopping.stop()
    const late = await dial(stopping.port)
    late.socket.write(post(image))
    await answered([late])
    expect(late.received()).toMatch(/^HTTP\/1.1 503 .*"STOPPING"/s)
    release()
    for (const line of lines) {
      const text = await line.ended
      expect(text).toMatch(/^HTTP\/1.1 200 .*connection: close/is)
      expect(text).toContain('"results"')
    }
    expect(await stopped).toBe(true)
  })

  it.each(['decoding', 'computing'] as const)('does not wait for ever while %s', async (what) => {
    held[what] = true
    const stopping = await startServer({ model: exported, limits: { stopMs: 100 } })
    const lines = await asking(4, stopping)
    await until(async () => (await metric(stopping.url, 'sherd_body_bytes')) === 4 * image.length)
    await until(() => (what === 'decoding' ? doing('decode') === 3 : doing('decode') === 4))
    const stopped = stopping.stop()
    for (const line of lines)
      expect(await line.ended).toMatch(
        /^HTTP\/1.1 503 .*"STOPPING","message":"no answer within the 0.1 s of a stop/s,
      )
    // The thread of the session is real, and ends; what is decoded does not.
    expect(await stopped).toBe(what === 'computing')
  })
})
