// Whatever is sent, the server answers with a reason and lives on.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import sharp from 'sharp'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Server } from '../../src/serve/serve.ts'
import { blackPng, from16Bits, plainTiff, scene } from '../prepare/decode/make-images.ts'
import { pngChunk, rawPng } from '../prepare/decode/make-png.ts'
import { bodyOf, exportTiny, formOf, startServer, tinyModel } from './make-served.ts'
import { metric, until } from './raw.ts'

let server: Server
let exported = ''
let good: Buffer
const errors: unknown[] = []
beforeAll(async () => {
  exported = await exportTiny(await tinyModel(), ['encoder', 'autoencoder'])
  good = await (await scene(40, 30, 1)).jpeg().toBuffer()
  server = await startServer({
    ...{ model: exported, onError: (error: unknown) => errors.push(error) },
    limits: { bodyBytes: 200_000, pixels: 1e6, images: 3 },
  })
})

interface Told {
  readonly error?: { readonly code: string; readonly message: string }
}
const ask = (given: RequestInit, path = '/v1/embed') => fetch(`${server.url}${path}`, given)
async function told(given: RequestInit, path?: string): Promise<[number, string, string]> {
  const response = await ask(given, path)
  const { error } = (await response.json()) as Told
  return [response.status, error?.code ?? '', error?.message ?? '']
}
const expectGood = async () => {
  const response = await ask(bodyOf(good))
  expect(response.status).toBe(200)
  expect(
    ((await response.json()) as { results: { embedding: number[] }[] }).results[0]!.embedding,
  ).toHaveLength(32)
}

afterEach(async () => {
  await expectGood()
  expect(errors).toEqual([]) // nothing was the server's own fault
})

/** A PNG that says it is of that size and has next to nothing in it. */
function bomb(width: number, height: number): Buffer {
  const png = blackPng(8, 8)
  png.writeUInt32BE(width, 16)
  png.writeUInt32BE(height, 20)
  const header = png.subarray(16, 29)
  pngChunk('IHDR', header).copy(png, 8)
  return png
}

describe('images that cannot be used', () => {
  const images: Record<string, [() => Buffer | Promise<Buffer>, RegExp]> = {
    'a truncated JPEG': [() => good.subarray(0, good.length / 2), /cannot be decoded/],
    'a JPEG of which only the first bytes are there': [() => good.subarray(0, 20), /cannot be decoded/],
    'a text': [() => Buffer.from('hello'), /expected a JPEG, PNG.*starts with "hello"/],
    'a script in SVG': [
      () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'),
      /starts with "<svg xmlns/,
    ],
    'a PDF': [() => Buffer.from('%PDF-1.7 ...'), /expected a JPEG, PNG/],
    'a PNG that says it has 10 gigapixels': [
      () => bomb(100_000, 100_000),
      /more than the limit of 1 megapixels/,
    ],
    'a PNG of the largest sides there are': [() => bomb(2 ** 31 - 1, 2 ** 31 - 1), /limit|cannot be decoded/],
    'a PNG of zero pixels': [() => bomb(0, 0), /cannot be decoded/],
    'a real bomb: 16 megapixels in few bytes': [() => blackPng(4000, 4000), /4000 x 4000 pixels are more/],
    'fewer pixels than a patch': [
      async () => (await scene(3, 300, 1)).png().toBuffer(),
      /less than one patch/,
    ],
    'a TIFF of floats': [
      () =>
        plainTiff({
          width: 20,
          height: 20,
          channels: 3,
          data: new Uint8Array(4800),
          bits: 32,
          isFloat: true,
        }),
      /expected grey, RGB or CMYK of 8 or 16 bits/,
    ],
    'a JPEG in which bits are turned': [
      () => {
        const broken = Buffer.from(good)
        for (let i = 2; i < 200; i += 7) broken[i]! ^= 0xff
        return broken
      },
      /cannot be decoded|expected/,
    ],
  }
  it.each(Object.entries(images))('%s', async (_, [make, reason]) => {
    const [status, code, message] = await told(bodyOf(await make()))
    expect([status, code]).toEqual([422, 'IMAGE'])
    expect(message).toMatch(reason)
  })

  it('of a form are all named', async () => {
    const form = formOf({ 'a.jpg': Buffer.from('x'), 'b.jpg': Buffer.from('y') })
    const [status, code, message] = await told(form)
    expect([status, code]).toEqual([422, 'IMAGE'])
    expect(message).toMatch(/no image of the form can be used: a\.jpg: .*; b\.jpg: /)
  })
})

describe('images that are odd and can be used', () => {
  const colours = Array.from({ length: 24 * 20 }, (_, i) => (i * 37) % 256)
  const images: Record<string, () => Buffer | Promise<Buffer>> = {
    'an animated GIF': () =>
      sharp(Buffer.alloc(20 * 60 * 3, 90), { raw: { width: 20, height: 60, channels: 3, pageHeight: 20 } })
        .gif({ loop: 0, delay: [10, 10, 10] })
        .toBuffer(),
    'a CMYK JPEG': async () => (await scene(30, 30, 2)).toColourspace('cmyk').jpeg().toBuffer(),
    'a grey PNG of 16 bits': () =>
      from16Bits(
        colours.map((x) => x * 257),
        24,
        1,
      )
        .png()
        .toBuffer(),
    'a palette': () => rawPng({ width: 24, height: 20, colour: 3, depth: 8, values: colours }),
    'an image with alpha': async () => (await scene(30, 30, 3)).ensureAlpha(0.3).webp().toBuffer(),
    AVIF: async () => (await scene(32, 32, 4)).avif({ effort: 0 }).toBuffer(),
  }
  it.each(Object.entries(images))('%s', async (_, make) => {
    const response = await ask(bodyOf(await make(), 'application/octet-stream'))
    expect(response.status).toBe(200)
  })
})

describe('requests that cannot be understood', () => {
  const cases: Record<string, [() => RequestInit, string, number, string, RegExp]> = {
    'no body': [() => ({ method: 'POST' }), '/v1/embed', 400, 'BODY', /the body is empty/],
    'an empty body': [() => bodyOf(Buffer.of()), '/v1/embed', 400, 'BODY', /the body is empty/],
    JSON: [
      () => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"image":1}' }),
      ...(['/v1/embed', 415, 'TYPE', /expected a body of image\/\*.*got application\/json/] as const),
    ],
    'a text': [
      () => ({ method: 'POST', body: 'hello' }),
      ...(['/v1/embed', 415, 'TYPE', /got text\/plain/] as const),
    ],
    'a content-type that is none': [
      () => bodyOf(good, 'imagejpeg'),
      ...(['/v1/embed', 415, 'TYPE', /got imagejpeg/] as const),
    ],
    'a form without its boundary': [
      () => bodyOf(good, 'multipart/form-data'),
      ...(['/v1/embed', 400, 'BODY', /form cannot be read/] as const),
    ],
    'a form that ends in the middle': [
      () =>
        bodyOf(
          Buffer.from('--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nabc'),
          'multipart/form-data; boundary=x',
        ),
      ...(['/v1/embed', 400, 'BODY', /form cannot be read/] as const),
    ],
    'a form of rubbish': [
      () => bodyOf(Buffer.from('rubbish'), 'multipart/form-data; boundary=x'),
      ...(['/v1/embed', 400, 'BODY', /form/] as const),
    ],
    'a form without files': [
      () => {
        const form = new FormData()
        form.append('pool', 'cls')
        return { method: 'POST', body: form }
      },
      ...(['/v1/embed', 400, 'BODY', /the form has no file/] as const),
    ],
    'too many files': [
      () => formOf({ a: good, b: good, c: good, d: good }),
      ...(['/v1/embed', 413, 'TOO_LARGE', /files/i] as const),
    ],
    'a body that is too large': [
      () => bodyOf(Buffer.alloc(300_000)),
      ...(['/v1/embed', 413, 'TOO_LARGE', /300000 bytes is more than the 200000/] as const),
    ],
    'a large body that does not say so': [
      () => ({
        ...{ method: 'POST', headers: { 'content-type': 'image/png' }, duplex: 'half' },
        body: new ReadableStream({
          start(stream) {
            stream.enqueue(new Uint8Array(300_000))
            stream.close()
          },
        }),
      }),
      ...(['/v1/embed', 413, 'TOO_LARGE', /large/i] as const),
    ],
    'files that are too large together': [
      () => formOf({ a: Buffer.alloc(150_000), b: Buffer.alloc(150_000) }),
      ...(['/v1/embed', 413, 'TOO_LARGE', /more than the 200000/] as const),
    ],
    'a wrong query': [() => bodyOf(good), '/v1/embed?pool=max', 400, 'QUERY', /pool must be.*cls, mean/],
    'a query that is not known': [() => bodyOf(good), '/v1/embed?pol=cls', 400, 'QUERY', /no query "pol"/],
    'a query in bad percent signs': [() => bodyOf(good), '/v1/embed?pool=%E0%A4%A', 400, 'QUERY', /pool/],
    'an address that is not there': [() => bodyOf(good), '/v1/embde', 404, 'NOT_FOUND', /mean "\/v1\/embed"/],
    'a graph that is not served': [
      () => bodyOf(good),
      '/v1/classify',
      404,
      'NOT_FOUND',
      /nothing at \/v1\/classify/,
    ],
    'the wrong method': [() => ({ method: 'GET' }), '/v1/embed', 405, 'METHOD', /asked with POST, not GET/],
    'another wrong method': [() => ({ method: 'DELETE' }), '/health', 405, 'METHOD', /asked with GET/],
    'a file that is not served': [
      () => ({}),
      '/models/run.json',
      404,
      'NOT_FOUND',
      /there are encoder.onnx, autoencoder.onnx/,
    ],
    'a path out of the folder': [() => ({}), '/models/..%2f..%2fpackage.json', 404, 'NOT_FOUND', /no model/],
    'an address in bad percent signs': [() => ({}), '/%E0%A4%A', 400, 'BODY', /./],
  }
  it.each(Object.entries(cases))('%s', async (_, [given, path, ...expected]) => {
    const [status, code, reason] = expected
    const [got, gotCode, message] = await told(given(), path)
    expect([got, gotCode]).toEqual([status, code])
    expect(message).toMatch(reason)
  })
})

/** What comes back for bytes that are sent as they are. */
async function raw(text: string | Buffer, { end = true, port = server.port } = {}): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += String(chunk)
  })
  socket.on('error', () => {})
  socket.write(text)
  if (end) socket.end()
  await once(socket, 'close')
  return answer
}

describe('what is hardly HTTP', () => {
  it('is refused', async () => {
    expect(await raw('rubbish\r\n\r\n')).toMatch(/^HTTP\/1.1 400 .*"code":"BODY"/s)
    expect(await raw(`GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 431 .*"code":"HEADERS"/s,
    )
    expect(await raw('POST /v1/embed HTTP/1.1\r\nhost: localhost\r\ncontent-length: -4\r\n\r\n')).toMatch(
      /^HTTP\/1.1 400/,
    )
    expect(await raw('GET /health HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1.1 400/) // no host
    expect(await raw('GET /health HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1.1 403 .*"code":"HOST"/s,
    )
  })

  it('and too slow is cut off', async () => {
    // Of its own: no other request is to be that quick.
    const { port } = await startServer({ model: exported, limits: { receiveMs: 500 } })
    const head =
      'POST /v1/embed HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/jpeg\r\ncontent-length: 1000\r\n\r\n'
    const [body, headers] = await Promise.all([
      raw(`${head}few bytes`, { end: false, port }),
      raw('POST /v1/embed HTTP/1.1\r\nhost: lo', { end: false, port }),
    ])
    expect(body).toMatch(/^HTTP\/1.1 408 .*"code":"SLOW"/s)
    expect(headers).toMatch(/^HTTP\/1.1 408/)
  })
})

it('clients that leave in the middle leave nothing behind', async () => {
  const calls = Array.from({ length: 30 }, async (_, i) => {
    const client = new AbortController()
    const call = ask({ ...bodyOf(good), signal: client.signal }).catch(() => null)
    await sleep(i % 4)
    client.abort()
    await call
  })
  await Promise.all(calls)
  await expectGood()
  await until(async () => (await metric(server.url, 'sherd_queue_images{graph="encoder"}')) === 0)
  await until(async () => (await metric(server.url, 'sherd_body_bytes')) === 0)
})

it('lives on after a thousand requests of damaged images, and needs no more memory than before', async () => {
  const kinds = [
    good,
    await (await scene(30, 30, 2)).png().toBuffer(),
    await (await scene(30, 30, 3)).webp().toBuffer(),
    await (await scene(30, 30, 4)).tiff().toBuffer(),
    await (await scene(30, 30, 5)).gif().toBuffer(),
  ]
  const damage = fc.record({
    kind: fc.nat(kinds.length - 1),
    places: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 12 }),
    cut: fc.option(fc.nat(), { freq: 3 }),
    path: fc.constantFrom('/v1/embed', '/v1/reconstruct', '/v1/embed?format=npy'),
  })
  const send = async (count: number, seed: number) => {
    const all = fc.sample(damage, { numRuns: count, seed })
    for (let i = 0; i < all.length; i += 50)
      await Promise.all(
        all.slice(i, i + 50).map(async ({ kind, places, cut, path }) => {
          const bytes = Buffer.from(kinds[kind]!)
          for (const [place, value] of places) bytes[place % bytes.length] = value
          const response = await ask(
            bodyOf(cut === null ? bytes : bytes.subarray(0, cut % bytes.length)),
            path,
          )
          await response.arrayBuffer()
          expect([200, 400, 422]).toContain(response.status)
        }),
      )
  }
  await send(200, 1)
  globalThis.gc?.()
  const before = process.memoryUsage.rss()
  await send(800, 2)
  globalThis.gc?.()
  expect((process.memoryUsage.rss() - before) / 1e6).toBeLessThan(150)
})

it('the files of models come in parts, and once', async () => {
  const file = readFileSync(join(exported, 'encoder.onnx'))
  const whole = await fetch(`${server.url}/models/encoder.onnx`)
  expect(Buffer.compare(Buffer.from(await whole.arrayBuffer()), file)).toBe(0)
  const part = await fetch(`${server.url}/models/encoder.onnx`, { headers: { range: 'bytes=100-199' } })
  expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 100-199/${file.length}`])
  expect(Buffer.compare(Buffer.from(await part.arrayBuffer()), file.subarray(100, 200))).toBe(0)
  const etag = whole.headers.get('etag')!
  const again = await raw(
    `GET /models/encoder.onnx HTTP/1.1\r\nhost: localhost\r\nif-none-match: ${etag}\r\nconnection: close\r\n\r\n`,
    { end: false },
  )
  expect(again).toMatch(/^HTTP\/1.1 304/)
})
