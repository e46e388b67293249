// What a connection holds is let go with it, and nobody else waits for what it never sends or never reads.
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { bytes } from '../../src/onnx/protobuf.ts'
import type { Server } from '../../src/serve/serve.ts'
import { descriptorsOf } from '../files/descriptors.ts'
import { scene } from '../prepare/decode/make-images.ts'
import { bodyOf, exportTiny, startServer, tinyModel } from './make-served.ts'
import { dial, get, metric, post, postHead, statusesIn, until } from './raw.ts'

const DOC_STRING = 6 // of a ModelProto
const MODEL = '/models/encoder.onnx'

let server: Server
let file = ''
let image: Buffer
beforeAll(async () => {
  const exported = await exportTiny(await tinyModel(), ['encoder'])
  file = join(exported, 'encoder.onnx')
  // Larger than all that the system keeps of what is not read.
  for (const part of bytes(DOC_STRING, new Uint8Array(12e6).fill(0x20))) appendFileSync(file, part)
  image = await (await scene(40, 30, 1)).jpeg().toBuffer()
  server = await startServer({
    model: exported,
    limits: { bodyBytes: 100_000, bytesAtOnce: 150_000, stopMs: 60_000 },
  })
})

/** How often this process has the model open. */
const descriptors = () => descriptorsOf(file)

const embed = () => fetch(`${server.url}/v1/embed`, bodyOf(image))

describe('requests of one connection', () => {
  it('are answered in their order', async () => {
    const line = await dial(server.port)
    line.socket.write(
      Buffer.concat([post(image), Buffer.from(get('/nothing') + get('/%E0%A4%A') + get('/health'))]),
    )
    await until(() => line.received().includes('"ok"'))
    expect(statusesIn(line.received())).toEqual([200, 404, 400, 200])
  })

  it('have one file open at a time, and none when nobody reads any more', async () => {
    const lines = await Promise.all(Array.from({ length: 5 }, () => dial(server.port, { isRead: false })))
    for (const { socket } of lines) socket.write(get(MODEL).repeat(20))
    await until(() => descriptors() === 5)
    for (const { socket } of lines) socket.destroy()
    await until(() => descriptors() === 0)
  })

  it('hold no memory while one before them is not read', async () => {
    const lines = await Promise.all(Array.from({ length: 40 }, () => dial(server.port, { isRead: false })))
    for (const { socket } of lines) socket.write(get(MODEL) + postHead(100_000))
    await until(() => descriptors() === 40)
    expect((await embed()).status).toBe(200)
    for (const { socket } of lines) socket.destroy()
    await until(() => descriptors() === 0)
    expect(await metric(server.url, 'sherd_body_bytes')).toBe(0)
    expect((await embed()).status).toBe(200)
  })

  it('may be many, but not without end', async () => {
    const line = await dial(server.port)
    line.socket.write(get('/health').repeat(33))
    await until(() => statusesIn(line.received()).length === 33)
    const flood = await dial(server.port)
    flood.socket.write(`${postHead(1)}x${get('/health').repeat(40)}`)
    expect(statusesIn(await flood.ended)).toEqual([])
  })

  it('that are no HTTP get no answer in the middle of a file', async () => {
    const line = await dial(server.port)
    line.socket.write(get(MODEL))
    await until(() => line.received() !== '')
    line.socket.write('rubbish\r\n\r\n')
    const text = await line.ended
    expect(statusesIn(text)).toEqual([200])
    const sent = Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4), 'latin1')
    expect(Buffer.compare(sent, readFileSync(file).subarray(0, sent.length))).toBe(0)
  })
})

describe('bodies', () => {
  it('that are announced and not sent are no reason to refuse others', async () => {
    const lines = await Promise.all(Array.from({ length: 16 }, () => dial(server.port)))
    for (const { socket } of lines) socket.write(postHead(100_000))
    // The servers's log of connections says when it has them all.
    await until(async () => (await metric(server.url, 'sherd_connections')) >= 16)
    expect((await embed()).status).toBe(200)
  })

  it('count as they are received, and no more when their connection has gone', async () => {
    const lines = await Promise.all([1, 2].map(() => dial(server.port)))
    for (const { socket } of lines)
      socket.write(Buffer.concat([Buffer.from(postHead(100_000)), Buffer.alloc(74_000)]))
    await until(async () => (await metric(server.url, 'sherd_body_bytes')) === 148_000)
    const refused = await dial(server.port)
    refused.socket.write(post(Buffer.alloc(50_000)))
    await until(() => refused.received().includes('}}'))
    expect(refused.received()).toMatch(
      /^HTTP\/1.1 503 .*retry-after: 1.*"BUSY","message":"the bodies that are being worked on have \d+ bytes of the 150000/s,
    )
    // It was read to its end, and the connection can be used again.
    refused.socket.write(get('/health'))
    await until(() => refused.received().includes('"ok"'))
    for (const { socket } of lines) socket.destroy()
    await until(async () => (await metric(server.url, 'sherd_body_bytes')) === 0)
    expect((await embed()).status).toBe(200)
  })

  it('that are too large are refused before they are whole, whatever they say', async () => {
    const line = await dial(server.port)
    const head = postHead(0).replace('content-length: 0', 'transfer-encoding: chunked')
    line.socket.write(Buffer.concat([Buffer.from(`${head}186a1\r\n`), Buffer.alloc(100_001)]))
    await until(() => line.received().includes('}}'))
    expect(line.received()).toMatch(/^HTTP\/1.1 413 .*"TOO_LARGE".*a request may have 100000 bytes/s)
    expect(await metric(server.url, 'sherd_body_bytes')).toBe(0)
  })
})

it('a stop answers all who are connected: what it has heard, and what it can still hear', async () => {
  const stopping = await startServer({ model: join(file, '..') })
  const lines = await Promise.all(Array.from({ length: 64 }, () => dial(stopping.port)))
  for (const { socket } of lines) socket.write(post(image))
  await until(() => lines.every((line) => line.received().includes('"results"')))
  const second = await Promise.all(Array.from({ length: 16 }, () => dial(stopping.port)))
  for (const { socket } of lines) socket.write(post(image)) // nobody has read it when the stop comes
  for (const { socket } of second) socket.write(get('/v1/model'))
  const stopped = stopping.stop()
  const late = await dial(stopping.port)
  late.socket.write(post(image))
  for (const line of [...lines, ...second, late]) {
    const text = await line.ended
    const status = statusesIn(text).at(-1)!
    expect([200, 503]).toContain(status)
    expect(statusesIn(text)).toHaveLength(lines.includes(line) ? 2 : 1)
    if (status === 503) expect(text).toContain('"STOPPING"')
  }
  expect(statusesIn(await late.ended)).toEqual([503])
  expect(await stopped).toBe(true)
})
