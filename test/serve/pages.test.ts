// What every answer says to browsers, and the pages for people.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Server } from '../../src/serve/serve.ts'
import { placeRows } from '../../src/serve/start-page.ts'
import { scene } from '../prepare/decode/make-images.ts'
import { bodyOf, exportTiny, startServer, tinyModel } from './make-served.ts'
import { dial, get, postHead } from './raw.ts'

let server: Server
let exported = ''
let image: Buffer
beforeAll(async () => {
  exported = await exportTiny(await tinyModel())
  image = await (await scene(40, 30, 1)).jpeg().toBuffer()
  server = await startServer({ model: exported, limits: { receiveMs: 1000, images: 3 } })
})

/** What comes back for bytes that are sent as they are. */
async function raw(text: string): Promise<string> {
  const line = await dial(server.port)
  line.socket.write(text)
  return line.ended
}
const close = 'connection: close\r\n'

describe('headers', () => {
  const requests: Record<string, [number, string]> = {
    'of an answer': [200, get('/health', close)],
    'of what is not there': [404, get('/nothing', close)],
    'of a wrong method': [405, get('/v1/embed', close)],
    'of an address that cannot be decoded': [400, get('/%E0%A4%A', close)],
    'of no HTTP': [400, 'rubbish\r\n\r\n'],
    'of a request without a host': [
      400,
      'GET /health HTTP/1.1\r\n\r\n'.replace('\r\n\r\n', `\r\n${close}\r\n`),
    ],
    'of another host': [403, `GET / HTTP/1.1\r\nhost: evil.example\r\n${close}\r\n`],
    'of another origin': [403, get('/', `origin: https://evil.example\r\n${close}`)],
    'of too long a head': [431, get('/', `x: ${'y'.repeat(20_000)}\r\n`)],
    'of an expectation': [417, postHead(4, '/v1/embed', `expect: miracles\r\n${close}`)],
    'of what does not come to its end': [408, postHead(4)],
    'of a file': [200, get('/models/encoder.onnx', close)],
    'of a range that is not there': [416, get('/models/encoder.onnx', `range: bytes=999999999-\r\n${close}`)],
    'of a page': [200, get('/', close)],
    'of the playground': [200, get('/playground/', close)],
    'of the description': [200, get('/docs', close)],
    'of its files': [200, get('/docs/static/swagger-ui.css', close)],
    'of a redirection': [302, get('/playground/v1/model', close)],
  }
  it.each(Object.entries(requests))('%s', async (_, [status, request]) => {
    const text = await raw(request)
    const [head = ''] = text.split('\r\n\r\n', 1)
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(head).toMatch(/^x-content-type-options: nosniff$/im)
    expect(head).toMatch(/^content-security-policy: [^\r]*frame-ancestors 'none'/im)
    expect(head.match(/^content-security-policy:/gim)).toHaveLength(1)
    if (status === 408) expect(text).toContain('the request had not come to its end after 1 s')
    if (status >= 400) expect(text).toMatch(/\{"error":\{"code":"[A-Z_]+","message":"[^"]+/)
  })
})

describe('what cannot be had', () => {
  const told = async (response: Response) => {
    const { error } = (await response.json()) as { error: { code: string; message: string } }
    return [response.status, error.code, error.message]
  }

  it('is a body in an encoding', async () => {
    const given = bodyOf(image)
    for (const path of ['/v1/embed', '/nothing']) {
      const response = await fetch(server.url + path, {
        ...{ ...given, headers: { ...given.headers, 'content-encoding': 'gzip' } },
      })
      expect(response.headers.get('accept-encoding')).toBe('identity')
      expect(await told(response)).toEqual([
        ...[415, 'TYPE', 'expected a body as it is, got one in content-encoding gzip'],
      ])
    }
    const plain = await fetch(`${server.url}/v1/embed`, {
      ...{ ...given, headers: { ...given.headers, 'content-encoding': 'identity' } },
    })
    expect(plain.status).toBe(200)
  })

  it('is a part behind the end of a file', async () => {
    const { length } = readFileSync(join(exported, 'encoder.onnx'))
    const ask = (range: string) =>
      fetch(`${server.url}/models/encoder.onnx`, { headers: { range, 'accept-encoding': 'identity' } })
    const behind = await ask(`bytes=${length}-`)
    expect(behind.headers.get('content-range')).toBe(`bytes */${length}`)
    expect((await told(behind)).slice(0, 2)).toEqual([416, 'RANGE'])
    const last = await ask('bytes=-10')
    expect([last.status, last.headers.get('content-range')]).toEqual([
      ...[206, `bytes ${length - 10}-${length - 1}/${length}`],
    ])
    expect(await last.arrayBuffer()).toHaveProperty('byteLength', 10)
  })

  it('is a file under a condition that does not hold', async () => {
    const response = await fetch(`${server.url}/models/encoder.onnx`, { headers: { 'if-match': '"other"' } })
    expect((await told(response)).slice(0, 2)).toEqual([412, 'CONDITION'])
  })

  it('is more than a limit, which is named with its number', async () => {
    const form = (files: number, fields = 0) => {
      const made = new FormData()
      for (let i = 0; i < fields; i++) made.append(`field${i}`, 'x')
      for (let i = 0; i < files; i++) made.append('file', new Blob([Uint8Array.from(image)]), `${i}.jpg`)
      return fetch(`${server.url}/v1/embed`, { method: 'POST', body: made })
    }
    expect(await told(await form(4))).toEqual([
      ...[413, 'TOO_LARGE', 'the form has more than the 3 files that a request may have'],
    ])
    expect(await told(await form(1, 17))).toEqual([
      ...[413, 'TOO_LARGE', 'the form has more than the 16 fields beside its files that a request may have'],
    ])
    expect(await raw(get('/', `x: ${'y'.repeat(20_000)}\r\n`))).toContain(
      'the head of the request has more than 8192 bytes',
    )
    const { limits } = (await (await fetch(`${server.url}/v1/model`)).json()) as { limits: object }
    expect(limits).toMatchObject({ images: 3, headerBytes: 8192, answerMs: 30_000 })
  })
})

describe('the start page', () => {
  it('says what is served, and so do the lines for a terminal', async () => {
    const page = await (await fetch(server.url)).text()
    const urls = [
      '/playground/',
      '/v1/embed',
      '/v1/look',
      '/v1/classify',
      '/v1/segment',
      '/v1/reconstruct',
      '/docs/',
      '/v1/model',
    ]
    for (const url of urls) expect(page).toContain(`${url}</code>`)
    expect(page).toContain('The likeliest of 3 classes of each image')
    expect(page).toContain('3 classes: red, green, blue')
    expect(page).toContain('<a href="models/autoencoder.onnx">autoencoder</a>')
    expect(page).not.toContain('/v1/neighbours')
    const encoder = await startServer({ model: join(exported, 'encoder.onnx') })
    expect(encoder.places.map(({ url }) => url)).toEqual([
      ...['/playground/', '/v1/embed', '/v1/look', '/docs/', '/v1/model', '/metrics'],
    ])
    const rows = placeRows(server.url, server.places)
    for (const [i, { url }] of server.places.entries()) expect(rows[i]![0]).toContain(url)
    expect(rows[0]!.join(' ')).toMatch(/^http:\S+\/playground\/ The playground: hide patches/)
    expect(rows[1]!.join(' ')).toMatch(/^POST \/v1\/\w+ The/)
    for (const { method, url } of server.places)
      if (method === 'GET') expect([url, (await fetch(server.url + url)).status]).toEqual([url, 200])
  })

  it('has a style that its policy lets through, and no script', async () => {
    const response = await fetch(server.url)
    const page = await response.text()
    const style = page.match(/<style>(.*?)<\/style>/s)![1]!
    expect(response.headers.get('content-security-policy')).toContain(
      `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
    )
    expect(page).not.toContain('<script')
  })

  it('shows names as text, whatever they are', async () => {
    const model = await tinyModel()
    const named = { ...model, classifier: { ...model.classifier!, classes: ['<b>', '"&', "'"] } }
    const other = await startServer({ model: await exportTiny(named, ['classifier']) })
    expect(await (await fetch(other.url)).text()).toContain('3 classes: &lt;b&gt;, &quot;&amp;, &apos;')
  })

  it('has a form that browsers can send', async () => {
    const form = new FormData()
    form.append('file', new Blob([Uint8Array.from(image)]), 'a.jpg')
    const response = await fetch(`${server.url}/v1/reconstruct?format=png`, {
      ...{ method: 'POST', body: form, headers: { origin: server.url } },
    })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/png'])
  })
})

it('the description is a page that loads nothing from elsewhere', async () => {
  const page = await (await fetch(`${server.url}/docs`)).text()
  const loaded = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url!)
  expect(loaded.length).toBeGreaterThan(3)
  for (const url of loaded) {
    const { origin } = new URL(url, `${server.url}/docs`)
    expect(origin).toBe(server.url)
    expect((await fetch(new URL(url, `${server.url}/docs`))).status).toBe(200)
  }
  const described = (await (await fetch(`${server.url}/docs/json`)).json()) as { paths: object }
  expect(Object.keys(described.paths)).toContain('/v1/classify')
})

it('the playground finds the models of the server', async () => {
  const found = await fetch(`${server.url}/playground/v1/model`)
  expect(await found.json()).toEqual(await (await fetch(`${server.url}/v1/model`)).json())
  const bare = await fetch(`${server.url}/playground`, { redirect: 'manual' })
  expect([bare.status, bare.headers.get('location')]).toEqual([301, '/playground/'])
  const page = await fetch(`${server.url}/playground/`)
  expect(page.headers.get('cross-origin-embedder-policy')).toBe('require-corp')
  expect(page.headers.get('content-security-policy')).toContain("script-src 'self' 'wasm-unsafe-eval'")
})
