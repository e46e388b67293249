// Downloads of whole processes: one that is killed in the middle, and two at once.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { start, until } from '../cli/sherd.ts'
import { useHubPlace } from './hub-place.ts'
import { filesOf, type HubServer, serveHub, sha256 } from './hub-server.ts'

const commit = 'd'.repeat(40)
const dinov2 = filesOf(resolve('../shared/reference/layouts/dinov2'), ['expected.safetensors'])
const weights = dinov2.get('model.safetensors')!
const half = weights.length >> 1

let hub: HubServer
beforeAll(async () => {
  hub = await serveHub({ 'a/b': { files: dinov2, commit, card: { license: 'mit' } } })
})
afterAll(() => hub.close())
const place = useHubPlace(() => hub.endpoint)
beforeEach(() => {
  hub.log.length = 0
  hub.faults.length = 0
})

const blobs = () => join(place.cache, 'models--a--b/blobs')
const incomplete = () =>
  existsSync(blobs()) ? readdirSync(blobs()).filter((name) => name.includes('incomplete')) : []
const download = () =>
  start(['download', 'hf:a/b'], { env: { HF_HOME: place.home, HF_ENDPOINT: hub.endpoint } })
const fetched = () => hub.log.filter((line) => line.startsWith('storage GET'))
const expectWhole = () => {
  expect(readFileSync(join(place.cache, `models--a--b/snapshots/${commit}/model.safetensors`))).toEqual(
    weights,
  )
  expect(incomplete()).toEqual([])
}

/** Half of the weights, and nothing more. */
const stalled = () =>
  hub.faults.push((request, response, file) => {
    if (file?.length !== weights.length || !request.url!.includes('Signature')) return false
    response.writeHead(200, { 'content-length': weights.length })
    response.write(weights.subarray(0, half))
    return true
  })

// Another file may be whole, and have its name, between both looks.
const hasHalf = () =>
  incomplete().some((name) => statSync(join(blobs(), name), { throwIfNoEntry: false })?.size === half)

it('one that is killed in the middle leaves no file under its name, and the next continues', async () => {
  stalled()
  const first = download()
  await until(hasHalf, 'half of the weights')
  first.kill('SIGKILL')
  expect((await first.ended).status).toBe('SIGKILL')
  expect(existsSync(join(blobs(), sha256(weights)))).toBe(false)
  expect((await download().ended).status).toBe(0)
  expect(fetched()).toHaveLength(2)
  expect(fetched()[1]).toContain(`bytes=${half}-`)
  expectWhole()
})

it('two at once fetch the weights once', async () => {
  stalled()
  const first = download()
  await until(hasHalf, 'half of the weights')
  const second = download()
  await until(() => second.stderr().includes('is being downloaded by process'), 'the second to wait')
  first.kill('SIGKILL')
  const [, { status, stderr }] = await Promise.all([first.ended, second.ended])
  expect([status, stderr]).toEqual([0, expect.not.stringContaining('error')])
  expect(fetched()).toHaveLength(2)
  expectWhole()
})
