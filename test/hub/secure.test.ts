// Networks of companies: certificates that only they vouch for, and proxies that see no more than the name of the host.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { localModel } from '../../src/hub/locate.ts'
import { packageRoot } from '../../src/package-root.ts'
import { start } from '../cli/sherd.ts'
import { useHubPlace } from './hub-place.ts'
import { filesOf, type HubServer, serveHub } from './hub-server.ts'

// Made for these tests alone, of localhost, for a hundred years; its key is public.
const tls = join(packageRoot(), 'test/fixtures/tls')
const commit = 'e'.repeat(40)
const files = filesOf(resolve('../shared/reference/layouts/dinov2'), ['expected.safetensors'])

let hub: HubServer
let proxy: ReturnType<typeof createServer>
let proxyUrl: string
/** Hosts of requests that went through the proxy. */
const tunnels: string[] = []
beforeAll(async () => {
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => readFileSync(join(tls, name))) as [Buffer, Buffer]
  hub = await serveHub({ 'a/b': { files, commit, card: { license: 'mit' } } }, { key, cert })
  proxy = createServer().on('connect', (request, socket, head) => {
    tunnels.push(request.url!)
    const out = connect(Number(request.url!.split(':')[1]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      out.write(head)
      out.pipe(socket).pipe(out)
    })
    for (const end of [socket, out]) end.on('error', () => {})
  })
  await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done))
  proxyUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
})
afterAll(async () => {
  proxy.closeAllConnections()
  proxy.close()
  await hub.close()
})
const place = useHubPlace(() => hub.endpoint)

it('a certificate that nobody here vouches for is an error at once, which names NODE_EXTRA_CA_CERTS', async () => {
  await expect(localModel('hf:a/b')).rejects.toThrow(
    /^localhost:\d+ shows a certificate that this machine does not trust \(.*self.signed.*NODE_EXTRA_CA_CERTS names the file/,
  )
  expect([place.pauses, hub.log]).toEqual([[], []])
  // Through the proxy it is the same certificate; a host of NO_PROXY is asked itself.
  vi.stubEnv('HTTPS_PROXY', proxyUrl)
  await expect(localModel('hf:a/b')).rejects.toThrow('NODE_EXTRA_CA_CERTS')
  expect(tunnels).toEqual([new URL(hub.endpoint).host])
  vi.stubEnv('NO_PROXY', 'example.org,localhost')
  await expect(localModel('hf:a/b')).rejects.toThrow('NODE_EXTRA_CA_CERTS')
  expect(tunnels).toHaveLength(1)
})

it('NODE_EXTRA_CA_CERTS and HTTPS_PROXY are taken by a process, for the hub and its storage', async () => {
  tunnels.length = 0
  const env = {
    ...{ HF_HOME: place.home, HF_ENDPOINT: hub.endpoint, HTTPS_PROXY: proxyUrl, NO_PROXY: '' },
    NODE_EXTRA_CA_CERTS: join(tls, 'cert.pem'),
  }
  const { status, stderr } = await start(['download', 'hf:a/b'], { env }).ended
  expect([status, stderr]).toEqual([0, expect.not.stringContaining('error')])
  const weights = readFileSync(join(place.cache, `models--a--b/snapshots/${commit}/model.safetensors`))
  expect(weights).toEqual(files.get('model.safetensors'))
  expect(new Set(tunnels).size).toBe(2)
  expect(hub.log.some((line) => line.startsWith('storage GET'))).toBe(true)
})
