// Networks, servers, disks and other processes that fail: no bad file ever has its final name, and the next start repairs it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer as createHttp } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { localModel } from '../../src/hub/locate.ts'
import { retryAfter } from '../../src/hub/requests.ts'
import { useHubPlace } from './hub-place.ts'
import { type Fault, filesOf, type HubServer, serveHub, sha256 } from './hub-server.ts'

const commit = 'c'.repeat(40)
const dinov2 = filesOf(resolve('../shared/reference/layouts/dinov2'), ['expected.safetensors'])
const weights = dinov2.get('model.safetensors')!
const sum = sha256(weights)

let hub: HubServer
let stop: AbortController
beforeAll(async () => {
  hub = await serveHub({})
})
afterAll(() => hub.close())
const place = useHubPlace(() => hub.endpoint, { signal: () => stop.signal })
beforeEach(() => {
  stop = new AbortController()
  hub.repos.clear()
  hub.faults.length = 0
  hub.log.length = 0
  hub.repos.set('a/b', { files: dinov2, commit, card: { license: 'mit' } })
})

const blobs = () => join(place.cache, 'models--a--b', 'blobs')
const whole = () => join(blobs(), sum)
const isStorage = (file: Buffer | null) => file?.length === weights.length
/** To the storage. */
const instead =
  (answer: (...[request, response]: Parameters<Fault>) => void): Fault =>
  (request, response, file) => {
    if (!isStorage(file) || !request.url!.includes('Signature')) return false
    answer(request, response, file)
    return true
  }
/** The connection is lost after so many bytes, of which some may be lost with it. */
const cut = (bytes: number) =>
  instead((_, response) => {
    response.writeHead(200, { 'content-length': weights.length })
    response.write(weights.subarray(0, bytes), () => response.destroy())
  })
/** It ends too soon, and all that was sent arrives. */
const part = (to: number) =>
  instead((request, response) => {
    const from = Number(/\d+/.exec(request.headers.range ?? '0')![0])
    const range = { 'content-range': `bytes ${from}-${weights.length - 1}/${weights.length}` }
    response.writeHead(from === 0 ? 200 : 206, from === 0 ? {} : range)
    response.end(weights.subarray(from, to))
  })
const sends = (body: string | Buffer, headers = {}) =>
  instead((_, response) => {
    response.writeHead(200, { 'content-length': body.length, ...headers })
    response.end(body)
  })

const expectWhole = async () => {
  const { path } = await localModel('hf:a/b')
  expect(readFileSync(join(path, 'model.safetensors'))).toEqual(weights)
  expect(readdirSync(blobs()).filter((name) => name.includes('incomplete'))).toEqual([])
}

describe('a connection', () => {
  it('that is cut again and again continues where it was', async () => {
    const half = weights.length >> 1
    hub.faults.push(part(1000), part(half), cut(10))
    await expectWhole()
    expect(
      hub.log.filter((line) => line.startsWith('storage')).map((line) => line.split(' ')[3] ?? ''),
    ).toEqual(['', 'bytes=1000-', `bytes=${half}-`, `bytes=${half}-`])
  })

  it('that is silent is given up and made again', async () => {
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '1')
    hub.faults.push(
      instead((_, response) => {
        response.writeHead(200, { 'content-length': weights.length })
        response.write(weights.subarray(0, 500))
      }),
    )
    await expectWhole()
    expect(place.notes.join('\n')).toMatch(/model\.safetensors: .*timeout.*; trying again/i)
  })

  it('that never lasts is an error, and the next start continues', async () => {
    hub.faults.push(part(3000), ...Array.from({ length: 6 }, () => cut(0)))
    await expect(localModel('hf:a/b')).rejects.toThrow(
      /is lost each time .* What has come is kept: start again/,
    )
    expect(existsSync(whole())).toBe(false)
    hub.faults.length = 0
    hub.log.length = 0
    await expectWhole()
    expect(hub.log.at(-1)).toMatch(/^storage GET .* bytes=3000-$/)
  })

  it('to a server in trouble is tried five times, with longer and longer pauses', async () => {
    const trouble: Fault = (_, response) => {
      response.writeHead(503).end()
      return true
    }
    hub.faults.push(trouble, trouble)
    await expectWhole()
    expect(place.pauses).toEqual([1000, 2000])
    hub.faults.push(...Array.from({ length: 9 }, () => trouble))
    await expect(localModel('hf:a/other')).rejects.toThrow(
      /Cannot reach 127\.0\.0\.1:\d+ for a\/other: the server answers 503, 5 times/,
    )
    expect(hub.faults).toHaveLength(4)
  })

  it('to nobody says so, with the proxy that would be needed', async () => {
    const closed = await serveHub({})
    await closed.close()
    vi.stubEnv('HF_ENDPOINT', closed.endpoint)
    await expect(localModel('hf:a/b')).rejects.toThrow(
      /Cannot reach 127\.0\.0\.1:\d+ .*ECONNREFUSED.*behind a proxy set HTTPS_PROXY/,
    )
  })

  it('that is stopped keeps what has come', async () => {
    hub.faults.push(
      instead((_, response) => {
        response.writeHead(200, { 'content-length': weights.length })
        response.write(weights.subarray(0, 2000), () => stop.abort())
      }),
    )
    await expect(localModel('hf:a/b')).rejects.toMatchObject({ code: 'INTERRUPTED' })
    expect(existsSync(whole())).toBe(false)
    stop = new AbortController()
    await expectWhole()
  })
})

it('a limit of requests is waited for as long as the hub says', async () => {
  const limited =
    (headers: Record<string, string>): Fault =>
    (_, response) => {
      response.writeHead(429, headers).end()
      return true
    }
  hub.faults.push(limited({ 'retry-after': '7' }), limited({ ratelimit: '"api";r=0;t=12' }))
  await expectWhole()
  expect(place.pauses).toEqual([7000, 12_000])
  expect(place.notes.join('\n')).toContain('asks to wait (429): going on in 7 s')
  expect(
    retryAfter(
      new Headers({ 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }),
      Date.UTC(2015, 9, 21, 7, 27, 30),
    ),
  ).toBe(30_000)
  hub.faults.push(limited({ 'retry-after': '7200' }))
  await expect(localModel('hf:a/b@x')).rejects.toThrow(/asks to wait 120 min/)
})

describe('what is not the file', () => {
  const page = '<!DOCTYPE html><html><body>Log in to the guest network</body></html>'
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sum}\nsize ${weights.length}\n`
  const other = Buffer.from(weights)
  other[5]! ^= 255
  it.each([
    ['a web page', () => sends(page, { 'content-type': 'text/html' }), /a web page where a file is expected/],
    ['a pointer of LFS', () => sends(pointer), /sends a Git LFS pointer/],
    [
      'other bytes',
      () => sends(other),
      new RegExp(`its checksum is ${sha256(other).slice(0, 12)}, and the hub states ${sum.slice(0, 12)}`),
    ],
    [
      'more bytes',
      () => sends(Buffer.concat([weights, weights])),
      new RegExp(`more than its ${weights.length} bytes come`),
    ],
    [
      'fewer bytes',
      () => sends(weights.subarray(0, 700)),
      new RegExp(`700 of its ${weights.length} bytes come`),
    ],
  ])('%s is fetched once more, then refused and not kept', async (_, fault, why) => {
    hub.faults.push(fault(), fault())
    await expect(localModel('hf:a/b')).rejects.toThrow(why)
    expect(readdirSync(blobs()).filter((name) => name.startsWith(sum))).toEqual([])
    expect(existsSync(join(place.cache, 'models--a--b/refs/main'))).toBe(false)
    hub.faults.push(fault())
    await expectWhole()
  })

  it('is found where it was a part of an earlier start, and replaced', async () => {
    mkdirSync(blobs(), { recursive: true })
    writeFileSync(`${whole()}.incomplete`, other.subarray(0, 900))
    await expectWhole()
    expect(place.notes.join('\n')).toMatch(/its checksum is .*; trying again/)
  })

  it('is a web page in place of the API, too', async () => {
    hub.faults.push((_, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end(page)
      return true
    })
    await expect(localModel('hf:a/b')).rejects.toThrow(/answers with a web page .* log in, and start again/)
  })
})

describe('a refusal', () => {
  it('of a link that has expired is met by a new link, twice', async () => {
    const expired = instead((_, response) =>
      response.writeHead(403).end('<Error>Request has expired</Error>'),
    )
    hub.faults.push(expired)
    await expectWhole()
    vi.stubEnv('HF_HUB_CACHE', join(place.home, 'again'))
    hub.faults.push(expired, expired)
    await expect(localModel('hf:a/b')).rejects.toThrow(
      /where model\.safetensors of a\/b is stored, refuses the link .*\(403\).*clock/,
    )
  })

  it('of a name, a revision, a file and a token are four messages', async () => {
    await expect(localModel('hf:a/none')).rejects.toThrow(
      /There is no model a\/none at .* that everyone may read \(401\).*if it is private/,
    )
    await expect(localModel('hf:a/b@v9')).rejects.toThrow('a/b has no revision "v9" (404)')
    await expect(localModel('hf:a/b/sub')).rejects.toThrow(/a\/b has no file or folder sub at /)
    hub.repos.set('a/mine', { files: dinov2, commit, isPrivate: true })
    vi.stubEnv('HF_TOKEN', 'hf_old')
    await expect(localModel('hf:a/b')).rejects.toThrow(
      /does not accept the token of HF_TOKEN \(401: Invalid credentials/,
    )
    hub.tokens.set('hf_old', [])
    await expect(localModel('hf:a/mine')).rejects.toThrow(
      /no model a\/mine at .* that the account of HF_TOKEN may read \(404\)/,
    )
    hub.tokens.set('hf_old', ['a/mine'])
    expect((await localModel('hf:a/mine')).hub).toBe(`hf:a/mine@${commit}`)
  })
})

describe('a hub that lies', () => {
  const answering =
    (part: string, value: unknown): Fault =>
    (request, response) => {
      if (!request.url!.includes(part)) return false
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
      return true
    }
  const file = (path: unknown, more = {}) => ({ type: 'file', path, size: 5, oid: 'd'.repeat(40), ...more })

  it.each([
    ['../../model.safetensors'],
    ['/model.safetensors'],
    ['x/../../model.safetensors'],
    ['x\\model.safetensors'],
    ['model.safetensors', { oid: '../../../../tmp/x' }],
    ['model.safetensors', { size: -1 }],
    ['model.safetensors', { lfs: { oid: 'e'.repeat(39), size: 5 } }],
    [7],
  ])('about the file %j is not followed', async (path, more: object = {}) => {
    hub.faults.push(answering('/tree/', [file(path, more)]))
    await expect(localModel('hf:a/b')).rejects.toThrow(/has no weights|not understood/)
    expect(existsSync(blobs())).toBe(false)
  })

  it.each([['../../x'], [null], ['abc']])('about its commit, %j, is not followed', async (sha) => {
    hub.faults.push(answering('/revision/', { id: 'a/b', sha }))
    await expect(localModel('hf:a/b')).rejects.toThrow(/not understood: its commit of a\/b is/)
    expect(existsSync(place.cache)).toBe(false)
  })

  it('with sizes: what does not fit on the disk is not begun', async () => {
    hub.faults.push(answering('/tree/', [file('model.safetensors', { size: 2 ** 52 })]))
    await expect(localModel('hf:a/b')).rejects.toThrow(
      /4503599\.6 GB have to be downloaded, and where the cache is .* are free: make room, or let HF_HUB_CACHE/,
    )
  })

  it.each([
    ['hf:'],
    ['hf:dinov2'],
    ['hf:a/b@'],
    ['hf:a/../b'],
    ['hf:a/b/../c'],
    ['hf:a/b@../x'],
    ['hf:a/b@%2e%2e%2fx'],
    ['hf:a/b@%'],
    ['hf:../b'],
    ['hf:a/b/c//d'],
    ['hf:a--b/c'],
    ['hf:a/b.git'],
  ])('nor is the name %s a path', async (name) => {
    await expect(localModel(name)).rejects.toMatchObject({ code: 'USAGE' })
  })
})

describe('the disk', () => {
  it.skipIf(process.getuid?.() === 0)('that may not be written names HF_HUB_CACHE', async () => {
    chmodSync(place.home, 0o500)
    await expect(localModel('hf:a/b')).rejects.toThrow(
      /Cannot create the folder .*HF_HUB_CACHE names another folder/,
    )
    chmodSync(place.home, 0o700)
  })

  it('with a file where the cache should be names HF_HUB_CACHE', async () => {
    writeFileSync(place.cache, '')
    await expect(localModel('hf:a/b')).rejects.toThrow(
      /there is a file of this name.*HF_HUB_CACHE names another folder/,
    )
  })

  it('that is full in the middle keeps what has come, and the next start continues', async () => {
    const handle = await open(join(place.home, 'any'), 'w')
    const files = Object.getPrototypeOf(handle) as { write(...given: unknown[]): Promise<unknown> }
    await handle.close()
    const { write } = files
    const half = weights.length >> 1
    let written = 0
    const filling = vi.spyOn(files, 'write').mockImplementation(async function (this: unknown, ...given) {
      const [bytes, from, count] = given as [Uint8Array, number, number, number]
      const room = half - written
      if (bytes.length < 5000) return write.apply(this, given) // a description
      if (room === 0)
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), {
          code: 'ENOSPC',
          syscall: 'write',
        })
      written += Math.min(room, count)
      return write.apply(this, [bytes, from, Math.min(room, count), given[3]])
    })
    await expect(localModel('hf:a/b')).rejects.toMatchObject({
      code: 'RUN',
      message: expect.stringMatching(/(?:disk|device).*HF_HUB_CACHE names another folder/is),
    })
    filling.mockRestore()
    expect([existsSync(whole()), readFileSync(`${whole()}.incomplete`).length]).toEqual([false, half])
    hub.log.length = 0
    await expectWhole()
    expect(hub.log.at(-1)).toMatch(new RegExp(`^storage GET .* bytes=${half}-$`))
  })

  it('that is none names HF_HUB_CACHE', async () => {
    vi.stubEnv('HF_HUB_CACHE', '/dev/full/cache')
    await expect(localModel('hf:a/b')).rejects.toThrow(/HF_HUB_CACHE names another folder/)
  })
})

describe('another process', () => {
  it('that downloads the same is waited for', async () => {
    const locks = join(place.cache, '.locks/models--a--b')
    mkdirSync(locks, { recursive: true })
    const holder = spawn(process.execPath, ['-e', 'process.stdin.resume()'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    const lock = join(locks, `${sum}.sherd.lock`)
    writeFileSync(lock, JSON.stringify({ pid: holder.pid, host: hostname(), start: null, since: 'now' }))
    const located = localModel('hf:a/b')
    await vi.waitFor(
      () =>
        expect(place.notes.join('\n')).toContain(
          `model.safetensors is being downloaded by process ${holder.pid}`,
        ),
      { timeout: 60_000 },
    )
    expect(hub.log.filter((line) => line.startsWith('storage'))).toEqual([])
    holder.kill('SIGKILL') // in the middle, as far as anyone can see
    await once(holder, 'exit')
    expect(readFileSync(join((await located).path, 'model.safetensors'))).toEqual(weights)
  })

  it('at the same time ends with one whole file', async () => {
    const all = await Promise.all([1, 2, 3].map(() => localModel('hf:a/b')))
    expect(new Set(all.map(({ path }) => path)).size).toBe(1)
    await expectWhole()
    expect(hub.log.filter((line) => line.startsWith('storage'))).toHaveLength(1)
  })
})

it('a proxy of the environment carries every request', async () => {
  const tunnels: string[] = []
  const proxy = createHttp().on('connect', (request, socket, head) => {
    tunnels.push(request.url!)
    const [host, port] = request.url!.split(':')
    const out = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      out.write(head)
      out.pipe(socket).pipe(out)
    })
    for (const end of [socket, out]) end.on('error', () => {})
  })
  await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done))
  vi.stubEnv('HTTP_PROXY', `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`)
  await expectWhole()
  expect(new Set(tunnels).size).toBe(2) // of the hub and of its storage
  vi.stubEnv('NO_PROXY', '127.0.0.1')
  vi.stubEnv('HF_HUB_CACHE', join(place.home, 'again'))
  const before = tunnels.length
  await localModel('hf:a/b')
  expect(tunnels.length).toBe(before)
  proxy.closeAllConnections()
  proxy.close()
})
