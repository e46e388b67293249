import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { expect, it, vi } from 'vitest'
import { batcher } from '../../src/serve/batcher.ts'
import { lifetime } from '../../src/serve/request-lifetime.ts'

const respond = (writableFinished: boolean) =>
  Object.assign(new EventEmitter(), { writableFinished }) as unknown as ServerResponse

it.each([
  ['that was answered', true],
  ['whose client has gone', false],
])('what waits of a request %s is not computed', async (_, isAnswered) => {
  const batches: number[] = []
  const made = batcher({
    session: { run: () => Promise.reject(new Error('computed')), close: async () => {} },
    ...{ mostTogether: 8, mostWait: 60_000, mostQueued: 8, onTheWay: () => 1 },
    onBatch: (samples) => batches.push(samples),
  })
  const response = respond(isAnswered)
  const inputs = { pixels: { values: Float32Array.of(1), shape: [1] } }
  const waiting = made.run(inputs, ['cls'], lifetime(response, 60_000))
  expect(made.queued).toBe(1)
  response.emit('close')
  await expect(waiting).rejects.toMatchObject({ code: 'TIMEOUT' })
  expect([made.queued, batches]).toEqual([0, []])
})

it('a deadline ends it', async () => {
  const life = lifetime(respond(false), 1)
  await new Promise((resolve) => life.addEventListener('abort', resolve))
  expect(life.reason).toMatchObject({ code: 'TIMEOUT', headers: { 'retry-after': '1' } })
})

it('however many images of a form listen to it, Node warns of no leak', () => {
  const emitWarning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const response = respond(true)
  const life = lifetime(response, 60_000)
  for (let image = 0; image < 32; image++) life.addEventListener('abort', () => {})
  response.emit('close')
  expect(emitWarning).not.toHaveBeenCalled()
  emitWarning.mockRestore()
})
