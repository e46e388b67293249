// A folder that goes to the hub: what is said before, what is sent, and what is never replaced silently.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { listenToHub } from '../../src/hub/listener.ts'
import { localModel } from '../../src/hub/locate.ts'
import { expectPush, planPush, push } from '../../src/hub/push.ts'
import { useHubPlace } from './hub-place.ts'
import { type HubServer, serveHub } from './hub-server.ts'

let hub: HubServer
beforeAll(async () => {
  hub = await serveHub({})
})
afterAll(() => hub.close())
const place = useHubPlace(() => hub.endpoint)

const weights = Buffer.alloc(20_000, 7)
const files = ['README.md', 'config.json', 'model.safetensors', 'onnx/model.onnx']
let folder: string
beforeEach(() => {
  hub.repos.clear()
  hub.tokens.clear()
  hub.log.length = 0
  hub.storageHeaders.length = 0
  hub.tokens.set('hf_mine', ['me/photos'])
  vi.stubEnv('HF_TOKEN', 'hf_mine')
  folder = join(place.home, 'folder')
  mkdirSync(join(folder, 'onnx'), { recursive: true })
  for (const file of files) writeFileSync(join(folder, file), /md|json/.test(file) ? `of ${file}` : weights)
})
const request = (more = {}) => ({ ...{ to: 'me/photos', folder, files, title: 'a model' }, ...more })
const pushed = async (more = {}) => push(await planPush(request(more)), request(more))

it('is made where it is not there, private on request, and comes back as it was', async () => {
  const plan = await planPush(request())
  expect(plan).toMatchObject({ parent: null, added: files, replaced: [], same: [], kept: [], bytes: 40_026 })
  expect(hub.repos.size).toBe(0)
  const { hub: name } = await push(plan, request({ isPrivate: true }))
  const repo = hub.repos.get('me/photos')!
  expect([name, repo.isPrivate]).toEqual([`hf:me/photos@${repo.commit}`, true])
  expect([...repo.files.keys()].sort()).toEqual(files)
  for (const file of files) expect(repo.files.get(file)).toEqual(readFileSync(join(folder, file)))
  expect(hub.storageHeaders.map(({ authorization }) => authorization)).toEqual([undefined, undefined]) // the token is not for the storage
  const { path } = await localModel('hf:me/photos')
  expect(readFileSync(join(path, 'model.safetensors'))).toEqual(weights)
})

it('says how much has been sent, with the length of each file', async () => {
  const sent: number[][] = []
  const lengths: unknown[] = []
  listenToHub({ note() {}, warn() {}, progress: (_, ...bytes) => sent.push(bytes) })
  await pushed()
  for (const headers of hub.storageHeaders)
    lengths.push(headers['content-length'], headers['transfer-encoding'])
  expect(lengths).toEqual(['20000', undefined, '20000', undefined])
  const done = sent.map(([bytes]) => bytes!)
  expect(done).toEqual(done.toSorted((a, b) => a - b))
  expect(new Set(done)).toContain(40_000)
  expect(sent.at(-1)).toEqual([40_026, 40_026])
})

const xet = { transfer: 'xet', objects: [] }
it.each([
  ['answers with Xet', 200, xet, /its answer names Xet/],
  ['refuses LFS', 410, { error: 'gone' }, /\(410\)/],
])(
  'a hub that %s for large files is named, with what speaks Xet; nothing is committed',
  async (_, status, body, why) => {
    hub.repos.set('me/photos', { files: new Map(), commit: '2'.repeat(40) })
    hub.faults.push((request, response) => {
      if (!request.url!.includes('/info/lfs/')) return false
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      return true
    })
    const refused = pushed()
    await expect(refused).rejects.toThrow(
      /takes no large files of me\/photos by Git LFS .*"hf upload me\/photos FOLDER"/,
    )
    await expect(refused).rejects.toThrow(why)
    expect(hub.repos.get('me/photos')!.commit).toBe('2'.repeat(40))
  },
)

it('sends what differs alone, and nothing where nothing does', async () => {
  await pushed()
  hub.log.length = 0
  expect(await pushed()).toMatchObject({ added: [], replaced: [], same: files })
  expect(hub.log.filter((line) => line.startsWith('POST'))).toEqual([])
  writeFileSync(join(folder, 'more.json'), '{}')
  expect(await pushed({ files: [...files, 'more.json'] })).toMatchObject({
    added: ['more.json'],
    same: files,
    bytes: 2,
  })
  expect(hub.log.filter((line) => line.startsWith('storage'))).toEqual([])
})

it('replaces what others wrote only with --overwrite, and leaves what is not of it', async () => {
  const own = new Map([
    ['README.md', Buffer.from('mine')],
    ['photo.jpg', Buffer.from('x')],
  ])
  hub.repos.set('me/photos', { files: own, commit: '2'.repeat(40) })
  await expect(planPush(request())).rejects.toThrow(
    /me\/photos has README\.md already, with other content.*--overwrite/,
  )
  expect(hub.repos.get('me/photos')!.files).toBe(own)
  expect(await pushed({ overwrite: true })).toMatchObject({ replaced: ['README.md'], kept: ['photo.jpg'] })
  expect(hub.repos.get('me/photos')!.files.get('photo.jpg')).toEqual(Buffer.from('x'))
})

it('does not go onto a commit that nobody has looked at', async () => {
  hub.repos.set('me/photos', { files: new Map(), commit: '2'.repeat(40) })
  const plan = await planPush(request())
  hub.repos.set('me/photos', { files: new Map(), commit: '3'.repeat(40) })
  await expect(push(plan, request())).rejects.toThrow(
    /me\/photos has changed meanwhile \(412: A commit has happened since\)/,
  )
})

it('needs a token that may, and a name', async () => {
  await expect(push(await planPush(request({ to: 'them/x' })), request({ to: 'them/x' }))).rejects.toThrow(
    /forbids them\/x \(403: You don't have the rights to create a model under them\)/,
  )
  vi.stubEnv('HF_TOKEN', '')
  expect(() => expectPush('me/photos')).toThrow(/--push me\/photos needs a token: .* give it as HF_TOKEN/)
  for (const to of ['photos', 'me/photos@v1', 'me/photos/x', '../x'])
    expect(() => expectPush(to)).toThrow(/expected/)
})
