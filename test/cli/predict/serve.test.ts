import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { scene } from '../../prepare/decode/make-images.ts'
import { makeEndless } from '../../serve/endless-graph.ts'
import { bodyOf, exportTiny, tinyModel } from '../../serve/make-served.ts'
import { inProcess, sherd, start, until, workFolder } from '../sherd.ts'

/** A variable that is set is an instruction: no LibTorch is found here, whatever is installed. */
const env = { LIBTORCH: '/nowhere' }

let exported = ''
let image: Buffer
beforeAll(async () => {
  exported = await exportTiny(await tinyModel(), ['encoder', 'autoencoder'])
  image = await (await scene(40, 30, 1)).jpeg().toBuffer()
})

it('serves without LibTorch, tells the address as JSON, logs, and ends in peace', async () => {
  const args = ['serve', '--model', exported, '--port', '0', '--threads', '1', '--log', '--json']
  const server = start(args, { env })
  await until(() => server.stdout().includes('\n'), 'the address')
  const { url, port, graphs } = JSON.parse(server.stdout()) as { url: string; port: number; graphs: string[] }
  expect(url).toBe(`http://127.0.0.1:${port}`)
  expect(graphs).toEqual(['encoder', 'autoencoder'])
  for (const [path, type] of [
    ['/v1/embed', 'application/json'],
    ['/v1/reconstruct?format=png', 'image/png'],
  ] as const) {
    const response = await fetch(`${url}${path}`, bodyOf(image))
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toContain(type)
    await response.arrayBuffer()
  }
  const pending = fetch(`${url}/v1/embed`, bodyOf(image))
    .then((response) => response.arrayBuffer())
    .catch(() => {}) // answered, or never accepted
  server.kill('SIGTERM')
  const { status, stdout, stderr } = await server.ended
  expect([status, stdout.trim().split('\n').length]).toEqual([0, 1])
  await pending
  const logged = stderr.split('\n').filter((line) => line.startsWith('{'))
  const requests = logged
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line.method)
  expect(requests[0]).toMatchObject({ method: 'POST', url: '/v1/embed', status: 200 })
  expect(stderr).toContain('SIGTERM: answering what is being worked on')
  expect(stderr).not.toMatch(/warning/i)
})

it('takes the token from the environment, and is quiet by default', async () => {
  const args = ['serve', '--model', join(exported, 'encoder.onnx'), '--port', '0', '--threads', '1']
  const server = start(args, { env: { ...env, SHERD_TOKEN: 'secret' } })
  await until(() => server.stdout().includes('/docs'), 'the address')
  const url = server
    .stdout()
    .match(
      /^sherd serves encoder at (http:\S+)\n(?: {2}http:\S+\/playground\/ .*\n)? {2}POST \/v1\/embed .*\n {2}POST \/v1\/look .*\n {2}http:\S+\/docs\/ /,
    )![1]!
  const headers = { authorization: 'Bearer secret' }
  expect([(await fetch(`${url}/ready`)).status, (await fetch(`${url}/ready`, { headers })).status]).toEqual([
    401, 200,
  ])
  server.kill('SIGINT')
  const { status, stderr } = await server.ended
  expect(status).toBe(0)
  expect(stderr).not.toContain('{')
})

it('takes the token from a file', async () => {
  const file = join(await workFolder(), 'token')
  writeFileSync(file, 'from a file\n')
  const args = [
    'serve',
    '--model',
    join(exported, 'encoder.onnx'),
    '--port',
    '0',
    '--token-file',
    file,
    '--json',
  ]
  const server = start(args, { env })
  await until(() => server.stdout().includes('\n'), 'the address')
  const { url } = JSON.parse(server.stdout()) as { url: string }
  const headers = { authorization: 'Bearer from a file' }
  expect([(await fetch(url)).status, (await fetch(url, { headers })).status]).toEqual([401, 200])
  server.kill('SIGTERM')
  expect((await server.ended).status).toBe(0)
  const refused = async (more: readonly string[], variables = {}) => {
    const { status, stderr } = await sherd([...args.slice(0, 5), ...more], { env: { ...env, ...variables } })
    return [status, stderr]
  }
  expect(await refused(['--token-file', `${file}s`])).toEqual([
    2,
    expect.stringContaining('tokens cannot be read'),
  ])
  expect(await refused(['--token-file', file], { SHERD_TOKEN: 'x' })).toEqual([
    ...[2, expect.stringContaining("cannot be used with environment variable 'SHERD_TOKEN'")],
  ])
})

describe('with a graph that never ends', () => {
  let endless = ''
  beforeAll(async () => {
    endless = join(await workFolder(), 'encoder.onnx')
    copyFileSync(join(exported, 'encoder.onnx'), endless)
    makeEndless(endless)
  })
  const serving = async (...more: string[]) => {
    const args = ['serve', '--model', endless, '--port', '0', '--threads', '1', '--json', ...more]
    const server = start(args, { env })
    await until(() => server.stdout().includes('\n'), 'the address')
    return { ...server, url: (JSON.parse(server.stdout()) as { url: string }).url }
  }
  const isComputing = async (url: string) =>
    (await (await fetch(`${url}/metrics`)).text()).includes('sherd_batch_images_count{graph="encoder"} 1')

  it('it refuses at the limit, and ends at the first signal', async () => {
    const server = await serving('--timeout', '0.5')
    const late = await fetch(`${server.url}/v1/embed`, bodyOf(image))
    expect([late.status, await late.json()]).toMatchObject([503, { error: { code: 'TIMEOUT' } }])
    server.kill('SIGTERM')
    const { status, stderr } = await server.ended
    expect([status, stderr]).toEqual([
      'SIGTERM',
      expect.stringContaining('without waiting for what still computes'),
    ])
  })

  it('it ends at once at the second signal', async () => {
    const server = await serving()
    const cut = fetch(`${server.url}/v1/embed`, bodyOf(image)).then(
      ({ status }) => status,
      () => 'cut',
    )
    while (!(await isComputing(server.url))) await sleep(5)
    server.kill('SIGTERM')
    await until(() => server.stderr().includes('SIGTERM: '), 'the first signal to be heard')
    await sleep(1100) // sooner it would be the same wish from two senders
    server.kill('SIGTERM')
    const { status, stderr } = await server.ended
    expect([status, await cut]).toEqual(['SIGTERM', 'cut'])
    expect(stderr).not.toContain('stopped')
  })
})

it('says what is wrong before it serves', async () => {
  const run = join(await workFolder(), 'mine')
  mkdirSync(run)
  writeFileSync(join(run, 'run.json'), '{}')
  const unexported = await sherd(['serve', '--model', run], { env })
  expect([unexported.status, unexported.stderr]).toEqual([
    2,
    expect.stringContaining('sherd export onnx --model'),
  ])
  const open = await sherd(['serve', '--model', exported, '--host', '0.0.0.0', '--json'], { env })
  expect([open.status, open.json()[0]]).toMatchObject([2, { kind: 'error', code: 'USAGE' }])
  for (const limit of ['--max-body', '--timeout']) {
    const none = await inProcess(['serve', '--model', exported, limit, '0'])
    expect([none.status, none.stderr]).toEqual([2, expect.stringContaining('Expected a positive number')])
  }
})

it('refuses a port that there cannot be', async () => {
  const { status, stderr } = await inProcess(['serve', '--model', exported, '--port', '65536'])
  expect([status, stderr]).toEqual([2, expect.stringContaining('Expected a port from 0 to 65535')])
})
