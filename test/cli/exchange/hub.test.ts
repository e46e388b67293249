// Models of the Hugging Face hub in commands: fetched by the first, named with their commit by all, measured, and pushed back.
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { packageRoot } from '../../../src/package-root.ts'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { useHubPlace } from '../../hub/hub-place.ts'
import { filesOf, type HubServer, serveHub } from '../../hub/hub-server.ts'
import { inProcess, workFolder } from '../sherd.ts'

const commit = 'a'.repeat(40)
const name = `hf:owner/dinov2@${commit}`
const files = filesOf(resolve('../shared/reference/layouts/dinov2'), ['expected.safetensors'])

let hub: HubServer
let dir: string
beforeAll(async () => {
  hub = await serveHub({ 'owner/dinov2': { files, commit, card: { license: 'cc-by-nc-4.0' } } })
  dir = await workFolder()
  await writeSampleData({ dir: join(dir, 'photos'), count: 40, size: 32, seed: 1 })
})
afterAll(() => hub.close())
const place = useHubPlace(() => hub.endpoint)
const sherd = (...args: string[]) => inProcess(args, { cwd: dir })

it('download says where it lies; later commands need no network, and name the commit', async () => {
  const made = await sherd('download', 'hf:owner/dinov2', '--json')
  expect(made.json()).toEqual([
    { kind: 'download', model: name, path: join(place.cache, 'models--owner--dinov2/snapshots', commit) },
  ])
  expect(made.stderr).toContain(
    `warning: hf:owner/dinov2: licence cc-by-nc-4.0, which forbids commercial use (${hub.endpoint}/owner/dinov2)`,
  )
  vi.stubEnv('HF_HUB_OFFLINE', '1')
  hub.log.length = 0
  const index = await sherd(
    'index',
    'photos',
    '--model',
    'hf:owner/dinov2',
    '--out',
    'index',
    '--device',
    'cpu',
  )
  expect([index.status, index.stderr]).toEqual([0, expect.not.stringContaining('licence')])
  const { model } = JSON.parse(readFileSync(join(dir, 'index/index.json'), 'utf8'))
  expect(model.path).toBe(name)
  const [photo] = (await import('node:fs'))
    .readdirSync(join(dir, 'photos'), { recursive: true, encoding: 'utf8' })
    .filter((each) => each.endsWith('.jpg'))
  const found = await sherd('search', join('photos', photo!), '--index', 'index', '--json')
  expect([found.status, found.stderr]).toEqual([0, ''])
  // One that is not in the index: the model is opened by the name that the index has.
  copyFileSync(join(dir, 'photos', photo!), join(dir, 'query.jpg'))
  const asked = await sherd('search', 'query.jpg', '--index', 'index', '--count', '1', '--json')
  expect(asked.json()[0]).toMatchObject({
    results: [{ isInIndex: false, found: [{ file: photo, similarity: expect.closeTo(1, 5) }] }],
  })
  expect(hub.log).toEqual([])
})

it('download --refresh takes a newer commit, and repairs what is damaged', async () => {
  const commands = ['download', 'hf:owner/dinov2'] as const
  await sherd(...commands)
  const newer = 'b'.repeat(40)
  hub.repos.set('owner/dinov2', { files, commit: newer, card: { license: 'mit' } })
  expect((await sherd(...commands, '--json')).json()).toMatchObject([{ model: name }]) // what is there is taken
  const weights = join(place.cache, 'models--owner--dinov2/snapshots', newer, 'model.safetensors')
  const made = await sherd(...commands, '--refresh', '--json')
  expect(made.json()).toMatchObject([{ model: `hf:owner/dinov2@${newer}` }])
  const damaged = Buffer.from(files.get('model.safetensors')!)
  damaged[99]! ^= 1
  writeFileSync(weights, damaged)
  const again = await sherd(...commands, '--refresh')
  expect([again.status, again.stderr]).toEqual([0, expect.stringContaining('in the cache was damaged')])
  expect(readFileSync(weights)).toEqual(files.get('model.safetensors'))
  hub.repos.set('owner/dinov2', { files, commit, card: { license: 'cc-by-nc-4.0' } })
})

it('export --push writes a card from reports of these weights, and says what it does', async () => {
  const evaluated = await sherd(
    'evaluate',
    'knn',
    '--model',
    'hf:owner/dinov2',
    '--data',
    'photos',
    '--out',
    'knn',
    '--no-baseline',
    '--device',
    'cpu',
  )
  expect(evaluated.status).toBe(0)
  expect(JSON.parse(readFileSync(join(dir, 'knn/report.json'), 'utf8')).model.path).toBe(name)
  const push = (...more: string[]) =>
    sherd(
      'export',
      'huggingface',
      '--model',
      'hf:owner/dinov2',
      '--out',
      'folder',
      '--no-onnx',
      '--report',
      'knn',
      '--license',
      'cc-by-nc-4.0',
      '--push',
      'me/mine',
      ...more,
    )
  const refused = await push()
  expect([refused.status, refused.stderr]).toEqual([
    2,
    expect.stringContaining('--push me/mine needs a token'),
  ])
  expect(existsSync(join(dir, 'folder'))).toBe(false)
  hub.tokens.set('hf_me', ['me/mine'])
  vi.stubEnv('HF_TOKEN', 'hf_me')
  const made = await push('--private', '--json')
  expect([made.status, made.json().map(({ kind }) => kind)]).toEqual([0, ['export', 'push']])
  expect(made.stderr).toContain(
    `${hub.endpoint}/me/mine is made, private\nadd: model.safetensors, README.md, preprocessor_config.json, config.json`,
  )
  const repo = hub.repos.get('me/mine')!
  expect(repo.files.get('model.safetensors')).toEqual(readFileSync(join(dir, 'folder/model.safetensors')))
  const card = String(repo.files.get('README.md'))
  expect(card).toMatch(/^license: cc-by-nc-4\.0\nbase_model: owner\/dinov2$/m)
  expect(card).toContain(`Its weights are those of \`${name}\``)
  const { rows, chosen } = JSON.parse(readFileSync(join(dir, 'knn/report.json'), 'utf8'))
  expect(card).toContain(`top-1 ${(100 * rows[chosen[0]].top1.mean).toFixed(1)} %`)
  expect(card).not.toMatch(/No score is given|licence is not stated/)
  const again = await push('--private')
  expect([again.status, again.stdout.split('\n').at(-2)]).toEqual([
    0,
    `hf:me/mine@${repo.commit} is the same already: ${hub.endpoint}/me/mine`,
  ])
})

it('a segmenter of the hub is used by its name, and the same command finds what it has made', async () => {
  const segmenter = 'segmenter.safetensors'
  const files = new Map([
    [segmenter, readFileSync(join(packageRoot(), 'test/fixtures/v0.1/plain', segmenter))],
  ])
  hub.repos.set('owner/masks', { files, commit })
  const segment = () =>
    sherd('segment', 'photos', '--model', 'hf:owner/masks', '--out', 'masks', '--device', 'cpu', '--json')
  const made = await segment()
  expect([made.status, made.json()]).toEqual([0, [expect.objectContaining({ kind: 'masks', images: 40 })]])
  expect((await segment()).json()).toEqual(made.json())
})

it('a report of other weights is refused', async () => {
  hub.repos.set('owner/other', { files: filesOf(resolve('../shared/reference/layouts/timm-dinov2')), commit })
  const { status, stderr } = await sherd(
    'export',
    'huggingface',
    '--model',
    'hf:owner/other',
    '--out',
    'other',
    '--no-onnx',
    '--report',
    'knn',
  )
  expect([status, stderr]).toEqual([
    2,
    expect.stringContaining('knn/report.json is not of the weights of hf:owner/other'),
  ])
})
