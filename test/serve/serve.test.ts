import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openSessionThread } from '../../src/onnx/session-thread.ts'
import { type ServeOptions, serve } from '../../src/serve/serve.ts'
import { scene, temporaryFolder } from '../prepare/decode/make-images.ts'
import { bodyOf, exportTiny, formOf, startServer, tinyModel } from './make-served.ts'
import { dial, metric, postHead, statusesIn, until } from './raw.ts'

let exported = ''
let image: Buffer
beforeAll(async () => {
  exported = await exportTiny(await tinyModel(), ['encoder'])
  image = await (await scene(40, 30, 1)).jpeg().toBuffer()
})

const post = (url: string, given: RequestInit = bodyOf(image)) => fetch(`${url}/v1/embed`, given)

describe('what is not served', () => {
  const refused = async (options: ServeOptions) =>
    serve({ port: 0, ...options }).then(
      () => 'it serves',
      (error: Error) => error.message,
    )

  it('says what to type for a run, and what is expected otherwise', async () => {
    const dir = await temporaryFolder()
    const run = join(dir, 'my own')
    mkdirSync(run)
    writeFileSync(join(run, 'run.json'), '{}')
    expect(await refused({ model: run })).toBe(
      `${run} holds a model that is not exported. Type:\n  sherd export onnx --model '${run}' --out 'my own-onnx' --graphs encoder autoencoder\n  sherd serve --model 'my own-onnx'`,
    )
    writeFileSync(join(dir, 'w.safetensors'), '')
    expect(await refused({ model: join(dir, 'w.safetensors') })).toContain('--out w-onnx')
    expect(await refused({ model: dir })).toContain('has none of encoder.onnx, autoencoder.onnx')
    expect(await refused({ model: join(dir, 'nothing') })).toContain('does not exist')
    writeFileSync(join(dir, 'encoder.onnx'), 'no graph')
    expect(await refused({ model: dir })).toContain('encoder.onnx cannot be read as an ONNX file')
  })

  it('a graph that gives something else than its file says, or no numbers', async () => {
    const dir = await temporaryFolder()
    const graph = readFileSync(join(exported, 'encoder.onnx'))
    const at = graph.indexOf('"width":32')
    graph.write('"width":48', at)
    writeFileSync(join(dir, 'encoder.onnx'), graph)
    expect(await refused({ model: dir })).toMatch(/output "cls" is \[1, 32\], expected \[1, 48\]/)
    graph.write('"width":32', at)
    const ones = Buffer.from(new Float32Array(32).fill(1).buffer) // of a layer norm
    const numbers = graph.indexOf(ones)
    expect(Math.min(at, numbers)).toBeGreaterThan(0)
    graph.writeFloatLE(Number.NaN, numbers)
    writeFileSync(join(dir, 'encoder.onnx'), graph)
    expect(await refused({ model: dir })).toMatch(/output "cls" has NaN for sample number 0/)
  })

  it('a model of rasters, and band-wise targets, by their reason', async () => {
    const bands = await tinyModel({ target: { statistics: 'band' } })
    expect(await refused({ model: await exportTiny(bands, ['autoencoder']) })).toContain(
      'normalised band by band',
    )
  })

  it('to others without a token', async () => {
    expect(await refused({ model: exported, host: '0.0.0.0' })).toContain(
      'Others can reach 0.0.0.0: give a token',
    )
    expect(await refused({ model: exported, token: '' })).toContain('The token is empty')
    expect(await refused({ model: exported, token: 'a\nb' })).toContain(
      'line breaks or other control characters',
    )
  })

  it('to pages of what is no origin', async () => {
    for (const cors of ['example.org', 'https://example.org/', 'https://example.org/a', 'null', ''])
      expect(await refused({ model: exported, cors })).toContain(
        `--cors: expected an origin such as https://example.org (no path, no slash at its end), or *, got "${cors}"`,
      )
  })

  it('with limits that let nothing through, or that no timer can keep', async () => {
    const whole = 'expected a whole number from 1 to'
    expect(await refused({ model: exported, limits: { bodyBytes: 0 } })).toContain(
      `limits.bodyBytes: ${whole}`,
    )
    expect(await refused({ model: exported, limits: { images: 1.5 } })).toContain(`limits.images: ${whole}`)
    expect(await refused({ model: exported, limits: { answerMs: 1e13 } })).toContain(
      `limits.answerMs: ${whole} 1073741824, got 10000000000000`,
    )
    expect(await refused({ model: exported, mostWait: 1e13 })).toContain('mostWait: expected 0 to')
  })

  it('on a port that is in use, or an address of another machine', async () => {
    const other = createServer()
    const port = await new Promise<number>((resolve) =>
      other.listen(0, '127.0.0.1', () => resolve((other.address() as { port: number }).port)),
    )
    expect(await refused({ model: exported, port })).toBe(
      `Cannot listen on port ${port} of 127.0.0.1: it is in use. Take another with --port, or 0 for any that is free.`,
    )
    other.close()
    expect(await refused({ model: exported, host: '203.0.113.1', token: 'x' })).toContain(
      'does not have that address',
    )
  })
})

it('a folder of several precisions gives the one that is asked for', async () => {
  const dir = await temporaryFolder()
  copyFileSync(join(exported, 'encoder.onnx'), join(dir, 'encoder.onnx'))
  writeFileSync(join(dir, 'encoder-int8.onnx'), 'damaged')
  expect((await startServer({ model: dir })).graphs).toEqual(['encoder'])
  await expect(startServer({ model: dir, precisions: ['int8'] })).rejects.toThrow('encoder-int8.onnx')
})

it('tells what it serves', async () => {
  const { url } = await startServer({ model: exported })
  const get = async (path: string) =>
    (await fetch(`${url}${path}`)).json() as Promise<Record<string, unknown>>
  expect(await get('/health')).toEqual({ status: 'ok' })
  expect(await get('/ready')).toEqual({ status: 'ready' })
  expect(await get('/v1/model')).toMatchObject({
    models: [
      { graph: 'encoder', url: '/models/encoder.onnx', precision: 'fp32', shape: [3, 16, 16], width: 32 },
    ],
    routes: ['/v1/embed', '/v1/look'],
    index: null,
  })
  const { openapi, paths } = (await get('/openapi.json')) as {
    openapi: string
    paths: Record<
      string,
      Record<string, { requestBody?: { content: object }; parameters?: { name: string }[] }>
    >
  }
  expect(openapi).toMatch(/^3\./)
  expect(Object.keys(paths).sort()).toEqual([
    '/health',
    '/metrics',
    '/openapi.json',
    '/ready',
    '/v1/embed',
    '/v1/look',
    '/v1/model',
  ])
  const embed = paths['/v1/embed']!.post!
  expect(Object.keys(embed.requestBody!.content)).toEqual([
    'image/*',
    'application/octet-stream',
    'multipart/form-data',
  ])
  expect(embed.parameters!.map(({ name }) => name)).toEqual(['pool', 'format'])
  const page = await fetch(url)
  expect([page.status, page.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/html')])
  expect(page.headers.get('cross-origin-opener-policy') ?? 'same-origin').toBe('same-origin')
})

it('counts requests, images, batches and refusals', async () => {
  const { url } = await startServer({ model: exported })
  await (await post(url)).arrayBuffer()
  await (await post(url, formOf({ a: image, b: image, c: Buffer.from('x') }))).arrayBuffer()
  await (await post(url, bodyOf(Buffer.from('x')))).arrayBuffer()
  await (await fetch(`${url}/nothing`)).arrayBuffer()
  const text = await (await fetch(`${url}/metrics`)).text()
  const lines = text.split('\n')
  expect(lines).toEqual(
    expect.arrayContaining([
      'sherd_requests_total{route="/v1/embed",status="200"} 2',
      'sherd_requests_total{route="/v1/embed",status="422"} 1',
      'sherd_requests_total{route="other",status="404"} 1',
      'sherd_images_total{route="/v1/embed"} 3',
      'sherd_refused_total{reason="IMAGE"} 2',
      'sherd_refused_total{reason="NOT_FOUND"} 1',
      'sherd_queue_images{graph="encoder"} 0',
      'sherd_batch_images_sum{graph="encoder"} 3',
      'sherd_request_seconds_count{route="/v1/embed"} 3',
    ]),
  )
  expect(text).toContain('process_cpu_seconds_total')
})

describe('with a token', () => {
  it('only /health is open', async () => {
    const { url } = await startServer({ model: exported, token: 'secret', host: '0.0.0.0' })
    const local = url.replace('0.0.0.0', '127.0.0.1')
    expect((await fetch(`${local}/health`)).status).toBe(200)
    for (const path of [
      '/',
      '/ready',
      '/metrics',
      '/openapi.json',
      '/v1/model',
      '/models/encoder.onnx',
      '/nothing',
    ]) {
      const response = await fetch(`${local}${path}`)
      expect([path, response.status]).toEqual([path, 401])
      expect(response.headers.get('www-authenticate')).toContain('Bearer')
    }
    expect((await post(local)).status).toBe(401)
    const headers = { authorization: 'Bearer secret' }
    expect((await fetch(`${local}/metrics`, { headers })).status).toBe(200)
    const given = bodyOf(image)
    expect((await post(local, { ...given, headers: { ...given.headers, ...headers } })).status).toBe(200)
  })
})

it('pages of an allowed origin can ask, those of others cannot', async () => {
  const { url } = await startServer({ model: exported, cors: 'https://example.org' })
  const preflight = (origin: string) =>
    fetch(`${url}/v1/embed`, {
      ...{ method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST' } },
    })
  const allowed = await preflight('https://example.org')
  expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([
    204,
    'https://example.org',
  ])
  const other = await preflight('https://evil.example')
  expect([other.status, other.headers.get('access-control-allow-origin')]).toEqual([403, null])
})

describe('too much to do', () => {
  it('is refused with the time to wait', async () => {
    const { url } = await startServer({ model: exported, mostTogether: 1, limits: { queue: 1 } })
    const all = await Promise.all(Array.from({ length: 150 }, () => post(url)))
    const statuses = new Set(all.map(({ status }) => status))
    expect([...statuses].sort()).toEqual([200, 503])
    const busy = all.find(({ status }) => status === 503)!
    expect(busy.headers.get('retry-after')).toBe('1')
    expect(await busy.json()).toMatchObject({ error: { code: 'BUSY' } })
    expect((await post(url)).status).toBe(200)
  })

  it('for any queue is refused for good: to come again would be in vain', async () => {
    const { url } = await startServer({ model: exported, limits: { queue: 2 } })
    expect(await (await fetch(`${url}/v1/model`)).json()).toMatchObject({ limits: { images: 2 } })
    const form = (count: number) =>
      formOf(Object.fromEntries(Array.from({ length: count }, (_, i) => [`${i}.jpg`, image])))
    expect((await fetch(`${url}/v1/embed`, form(2))).status).toBe(200)
    const more = await fetch(`${url}/v1/embed`, form(3))
    expect([more.status, await more.json()]).toMatchObject([413, { error: { code: 'TOO_LARGE' } }])
  })

  it('in bytes, too', async () => {
    const { url, port } = await startServer({ model: exported, limits: { bytesAtOnce: image.length + 10 } })
    const slow = await dial(port)
    slow.socket.write(Buffer.concat([Buffer.from(postHead(image.length)), image.subarray(0, -20)]))
    await until(async () => (await metric(url, 'sherd_body_bytes')) === image.length - 20)
    expect((await post(url)).status).toBe(503) // there is no room for both
    slow.socket.write(image.subarray(-20))
    await until(() => statusesIn(slow.received()).length > 0)
    expect(statusesIn(slow.received())).toEqual([200])
    expect((await post(url)).status).toBe(200)
  })
})

describe('a stop', () => {
  it('answers what is there and takes no more', async () => {
    const server = await startServer({ model: exported, mostTogether: 1 })
    const all = Array.from({ length: 30 }, () => post(server.url))
    await Promise.race(all)
    const stopped = server.stop()
    const late = await post(server.url).then(
      ({ status }) => status,
      () => 'refused',
    )
    const statuses = (await Promise.all(
      all.map((each) =>
        each.then(
          ({ status }) => status,
          () => 'refused',
        ),
      ),
    )) as unknown[]
    await stopped
    expect([503, 'refused']).toContain(late)
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(0)
    await expect(post(server.url)).rejects.toThrow()
    await server.stop() // again
  })
})

describe('a session in a thread', () => {
  it('does not hold up who asks', async () => {
    const session = await openSessionThread(join(exported, 'encoder.onnx'), { threads: 1, spin: false })
    let turns = 0
    let isComputing = true
    const turn = () => {
      turns++
      if (isComputing) setImmediate(turn)
    }
    setImmediate(turn)
    const values = new Float32Array(2000 * 3 * 256)
    const { mean } = await session.run({ values, shape: [2000, 3, 16, 16] }, ['mean'])
    isComputing = false
    expect(mean.shape).toEqual([2000, 32])
    expect(values).toHaveLength(0) // moved, not copied
    expect(turns).toBeGreaterThan(1)
    await expect(session.run({ values: new Float32Array(3), shape: [1, 3, 1, 1] }, ['mean'])).rejects.toThrow(
      'cannot be run on float32[1, 3, 1, 1]',
    )
    await session.close()
    expect(await session.ended).toBeNull()
    await expect(session.run({ values: new Float32Array(3), shape: [1, 3, 1, 1] }, ['mean'])).rejects.toThrow(
      'is closed',
    )
  })

  it('says why a file cannot be opened', async () => {
    const path = join(await temporaryFolder(), 'encoder.onnx')
    writeFileSync(path, 'no graph')
    await expect(openSessionThread(path, { threads: 1 })).rejects.toMatchObject({
      code: 'CHECKPOINT',
      message: expect.stringContaining(`${path} cannot be run`),
    })
  })
})
