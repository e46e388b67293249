// Models of the hub: what is downloaded, where it lies, what a start without a network takes, and what is said of licences.
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { fetchModel, localModel } from '../../src/hub/locate.ts'
import { useHubPlace } from './hub-place.ts'
import { filesOf, gitSum, type HubServer, serveHub, sha256 } from './hub-server.ts'

const layouts = resolve('../shared/reference/layouts')
const [first, second] = ['a', 'b'].map((digit) => digit.repeat(40)) as [string, string]
const dinov2 = filesOf(join(layouts, 'dinov2'))
const expected = dinov2.get('expected.safetensors')!
const card = { license: 'apache-2.0' }

let hub: HubServer
beforeAll(async () => {
  hub = await serveHub({})
})
afterAll(() => hub.close())
const place = useHubPlace(() => hub.endpoint)

beforeEach(() => {
  hub.repos.clear()
  hub.tokens.clear()
  hub.faults.length = 0
  hub.log.length = 0
  hub.repos.set('facebook/dinov2-small', { files: dinov2, commit: first, card })
})

/** Every file and link of a folder, by its path below. */
const tree = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => !lstatSync(join(folder, name)).isDirectory())
    .sort()

const repoFolder = (name: string) => join(place.cache, `models--${name.replace('/', '--')}`)

describe('a model of the hub', () => {
  it('is downloaded as far as it is read, and lies as Python lays it', async () => {
    const found = await localModel('hf:facebook/dinov2-small')
    const folder = repoFolder('facebook/dinov2-small')
    const snapshot = join(folder, 'snapshots', first)
    expect(found).toEqual({ path: snapshot, hub: `hf:facebook/dinov2-small@${first}` })
    const blobs = {
      'config.json': gitSum(dinov2.get('config.json')!),
      'preprocessor_config.json': gitSum(dinov2.get('preprocessor_config.json')!),
      'model.safetensors': sha256(dinov2.get('model.safetensors')!),
    }
    expect(tree(folder)).toEqual(
      [
        `.no_exist/${first}/open_clip_config.json`,
        ...Object.values(blobs).map((sum) => `blobs/${sum}`),
        'refs/main',
        ...Object.keys(blobs).map((name) => `snapshots/${first}/${name}`),
      ].sort(),
    )
    expect(readFileSync(join(folder, 'refs/main'), 'utf8')).toBe(first)
    for (const [name, sum] of Object.entries(blobs)) {
      expect(readlinkSync(join(snapshot, name))).toBe(`../../blobs/${sum}`)
      expect(readFileSync(join(snapshot, name))).toEqual(dinov2.get(name))
    }
    expect(tree(join(place.cache, '.locks'))).toEqual([])
    expect(place.notes).toContain('hf:facebook/dinov2-small: licence apache-2.0')
    expect(place.notes.join('\n')).toContain(`at ${first.slice(0, 12)} (main): 3 files, 0.2 MB`)
    // The storage of another host never hears of the expected results, and once of the weights.
    expect(hub.log.filter((line) => line.startsWith('storage'))).toHaveLength(1)
  })

  it('starts without any request once it is there, also by its commit and with HF_HUB_OFFLINE', async () => {
    const { path } = await localModel('hf:facebook/dinov2-small')
    hub.log.length = 0
    for (const name of [
      'hf:facebook/dinov2-small',
      'hf://facebook/dinov2-small@main',
      `hf:facebook/dinov2-small@${first}`,
    ])
      expect((await localModel(name)).path).toBe(path)
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    expect((await localModel('hf:facebook/dinov2-small')).path).toBe(path)
    expect(hub.log).toEqual([])
    await expect(localModel('hf:facebook/other')).rejects.toThrow(/not in the cache .* HF_HUB_OFFLINE/)
    await expect(localModel('hf:facebook/dinov2-small@v1')).rejects.toThrow(/not in the cache/)
    expect(hub.log).toEqual([])
  })

  it('stays at its commit until it is refreshed; files that did not change are not downloaded again', async () => {
    await localModel('hf:facebook/dinov2-small')
    const changed = Buffer.from(dinov2.get('model.safetensors')!)
    changed[changed.length - 1]! ^= 1
    hub.repos.set('facebook/dinov2-small', {
      ...{ files: new Map([...dinov2, ['model.safetensors', changed]]), commit: second, refs: { v1: first } },
    })
    expect((await localModel('hf:facebook/dinov2-small')).hub).toContain(first)
    hub.log.length = 0
    const { path, hub: name } = await fetchModel('hf:facebook/dinov2-small', { refresh: true })
    expect(name).toBe(`hf:facebook/dinov2-small@${second}`)
    expect(readFileSync(join(path, 'model.safetensors'))).toEqual(changed)
    expect(hub.log.filter((line) => line.includes('/resolve/'))).toEqual([
      `GET /facebook/dinov2-small/resolve/${second}/model.safetensors`,
    ])
    expect((await localModel('hf:facebook/dinov2-small')).hub).toContain(second)
    expect((await localModel('hf:facebook/dinov2-small@v1')).hub).toContain(first)
  })

  it('is repaired where a blob is gone or short, and on refresh where it holds other bytes', async () => {
    const { path } = await localModel('hf:facebook/dinov2-small')
    const weights = dinov2.get('model.safetensors')!
    const blob = join(repoFolder('facebook/dinov2-small'), 'blobs', sha256(weights))
    rmSync(blob)
    await localModel('hf:facebook/dinov2-small')
    expect(readFileSync(join(path, 'model.safetensors'))).toEqual(weights)
    writeFileSync(blob, Buffer.alloc(weights.length))
    await fetchModel('hf:facebook/dinov2-small', { refresh: true })
    expect(readFileSync(blob)).toEqual(weights)
    expect(place.warnings.join()).toContain('was damaged')
  })

  it('may be a folder, a file, a tag or a branch with a slash', async () => {
    const inside = new Map([...dinov2].map(([name, bytes]) => [`small/fp32/${name}`, bytes]))
    inside.set('dino.pth', filesOf(join(layouts, 'dino-pth')).get('pretrain.pth')!)
    hub.repos.set('a/b', { files: inside, commit: first, refs: { 'refs/pr/3': first, 'x/y': first } })
    const folder = join(repoFolder('a/b'), 'snapshots', first)
    expect((await localModel('hf:a/b@refs/pr/3/small/fp32')).path).toBe(join(folder, 'small/fp32'))
    expect(readlinkSync(join(folder, 'small/fp32/config.json'))).toMatch(/^\.\.\/\.\.\/\.\.\/\.\.\/blobs\//)
    expect((await localModel('hf:a/b@x%2Fy/dino.pth')).path).toBe(join(folder, 'dino.pth'))
    expect((await localModel('hf:a/b')).path).toBe(join(folder, 'dino.pth'))
    expect(tree(join(repoFolder('a/b'), 'refs'))).toEqual(['main', 'refs/pr/3', 'x/y'])
    await expect(localModel('hf:a/b/small')).rejects.toThrow(
      /folder small has no weights .* Those of a folder/s,
    )
    await expect(localModel('hf:a/b/other.pth')).rejects.toThrow(
      'has no file other.pth: beside it are dino.pth',
    )
  })

  it.each([
    [['model.safetensors', 'pytorch_model.bin', 'flax_model.msgpack', 'README.md'], ['model.safetensors']],
    [['pytorch_model.bin', 'training.log'], ['pytorch_model.bin']],
    [['open_clip_model.safetensors', 'open_clip_pytorch_model.bin'], ['open_clip_model.safetensors']],
    [['weights.pth'], ['weights.pth']],
  ])('of %s takes %s', async (names, taken) => {
    hub.repos.set('a/b', { files: new Map(names.map((name) => [name, Buffer.from(name)])), commit: first })
    await localModel('hf:a/b')
    expect(tree(join(repoFolder('a/b'), 'snapshots', first))).toEqual(taken)
  })

  it('in several files has them by their index; an index that names what is not there is refused', async () => {
    const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']
    const index = (files: readonly string[]) =>
      Buffer.from(JSON.stringify({ weight_map: Object.fromEntries(files.map((file, i) => [`t${i}`, file])) }))
    const files = new Map(shards.map((name) => [name, Buffer.from(name)]))
    const of = (names: readonly string[]) =>
      hub.repos.set('a/b', {
        files: new Map([
          ...files,
          ['model.safetensors.index.json', index(names)],
          ['config.json', Buffer.from('{}')],
        ]),
        commit: first,
      })
    of(['../../../../escaped'])
    await expect(localModel('hf:a/b')).rejects.toThrow(/names \.\.\/.*escaped, which is not beside it/)
    of(['model-00003-of-00003.safetensors'])
    await expect(localModel('hf:a/b')).rejects.toThrow('which is not beside it')
    rmSync(place.cache, { recursive: true })
    of(shards)
    const { path } = await localModel('hf:a/b')
    expect(tree(path)).toEqual(['config.json', ...shards, 'model.safetensors.index.json'].sort())
    hub.log.length = 0
    await localModel('hf:a/b')
    expect(hub.log).toEqual([])
    rmSync(join(path, shards[1]!)) // as after a kill between two of them
    await localModel('hf:a/b')
    expect(readFileSync(join(path, shards[1]!), 'utf8')).toBe(shards[1])
  })

  it('with several weights of no usual name asks for one', async () => {
    hub.repos.set('a/b', {
      files: new Map([
        ['x.pth', expected],
        ['y.pth', expected],
      ]),
      commit: first,
    })
    await expect(localModel('hf:a/b')).rejects.toThrow(
      '(x.pth, y.pth): name one of them, such as hf:a/b/x.pth',
    )
  })
})

describe('a cache that Python wrote', () => {
  /** As `AutoModel.from_pretrained` leaves it: no marks of files that are not there. */
  function cachedBy(names: readonly string[]): void {
    const folder = repoFolder('facebook/dinov2-small')
    for (const each of ['blobs', 'refs', `snapshots/${first}`])
      mkdirSync(join(folder, each), { recursive: true })
    writeFileSync(join(folder, 'refs/main'), first)
    for (const name of names) {
      const bytes = dinov2.get(name)!
      const sum = bytes.length < 10_000 ? gitSum(bytes) : sha256(bytes)
      writeFileSync(join(folder, 'blobs', sum), bytes)
      symlinkSync(`../../blobs/${sum}`, join(folder, 'snapshots', first, name))
    }
  }

  it('is taken as it is where model and processor are there', async () => {
    cachedBy(['config.json', 'model.safetensors', 'preprocessor_config.json'])
    expect((await localModel('hf:facebook/dinov2-small')).hub).toBe(`hf:facebook/dinov2-small@${first}`)
    expect(hub.log).toEqual([])
  })

  it('gets what it lacks; offline that is said', async () => {
    cachedBy(['config.json', 'model.safetensors'])
    vi.stubEnv('HF_HUB_OFFLINE', 'yes')
    const { path } = await localModel('hf:facebook/dinov2-small')
    expect(place.notes.join()).toContain(
      'preprocessor_config.json of hf:facebook/dinov2-small is not in the cache',
    )
    vi.stubEnv('HF_HUB_OFFLINE', '0')
    await localModel('hf:facebook/dinov2-small')
    expect(existsSync(join(path, 'preprocessor_config.json'))).toBe(true)
    expect(hub.log.filter((line) => line.startsWith('storage'))).toEqual([])
  })
})

describe('before a download', () => {
  it.each([
    [{ license: 'cc-by-nc-4.0' }, /licence cc-by-nc-4\.0, which forbids commercial use/],
    [
      {
        license: 'other',
        license_name: 'fair-noncommercial-research-license',
        license_link: 'https://x/LICENSE',
      },
      /forbids commercial use \(https:\/\/x\/LICENSE\)/,
    ],
    [
      { license: 'other', license_name: 'dinov3-license' },
      /licence other \(dinov3-license\): read it before use/,
    ],
  ])('the licence of %j is a warning', async (own, said) => {
    hub.repos.set('a/b', { files: dinov2, commit: first, card: own })
    await localModel('hf:a/b')
    expect(place.warnings.join()).toMatch(said)
    expect(place.notes.join()).not.toContain('licence')
  })

  it.each([
    [
      'facebook/vit-mae-base',
      { license: 'apache-2.0' },
      'its authors give the licence cc-by-nc-4.0, which forbids commercial use, though its page says apache-2.0',
    ],
    ['facebook/vit-msn-huge', {}, 'licence cc-by-nc-4.0, which forbids commercial use'],
    [
      'timm/vit_base_patch16_224.mae',
      { license: 'cc-by-nc-4.0' },
      'licence cc-by-nc-4.0, which forbids commercial use',
    ],
    [
      'facebook/dinov2-large',
      { license: 'cc-by-nc-4.0' },
      'its authors give the licence apache-2.0, though its page says cc-by-nc-4.0',
    ],
    [
      'facebook/ijepa_vith14_1k',
      { license: 'cc-by-nc-4.0' },
      'licence cc-by-nc-4.0, which forbids commercial use',
    ],
    [
      'timm/vit_small_patch16_dinov3.lvd1689m',
      { license: 'other', license_name: 'dinov3-license' },
      'licence other (dinov3-license): read it before use',
    ],
  ])('what its authors say of %s counts before its card %j', async (name, own, said) => {
    hub.repos.set(name, { files: dinov2, commit: first, card: own })
    await localModel(`hf:${name}`)
    const isAllowed = !/forbids|read it/.test(said)
    const lines = isAllowed ? place.notes.filter((line) => line.includes('licence')) : place.warnings
    expect(lines).toEqual([expect.stringContaining(`hf:${name}: ${said}`)])
  })

  it('a licence that is missing is said, and strange cards are survived', async () => {
    hub.repos.set('a/b', {
      files: dinov2,
      commit: first,
      card: { license: { x: 1 }, license_link: 7 } as never,
    })
    await localModel('hf:a/b')
    expect(place.notes.join()).toContain('names no licence')
  })

  it('a gated one names its page and HF_TOKEN, and is taken with a token that may', async () => {
    hub.repos.set('a/b', { files: dinov2, commit: first, card, gated: 'manual' })
    await expect(localModel('hf:a/b')).rejects.toThrow(
      `a/b is gated: its authors ask who takes it, and for what. Accept their terms at ${hub.endpoint}/a/b, make a token with the right to read at ${hub.endpoint}/settings/tokens and give it as HF_TOKEN.`,
    )
    expect(place.warnings.join()).toContain('licence apache-2.0: read it before use')
    hub.tokens.set('hf_none', [])
    vi.stubEnv('HF_TOKEN', 'hf_none')
    await expect(localModel('hf:a/b')).rejects.toThrow('the account of HF_TOKEN has no access yet (403)')
    expect(
      existsSync(join(repoFolder('a/b'), 'blobs')) && readdirSync(join(repoFolder('a/b'), 'blobs')),
    ).toEqual([])
    vi.stubEnv('HF_TOKEN', '')
    hub.tokens.set('hf_mine', ['a/b'])
    writeFileSync(join(place.home, 'token'), 'hf_mine\n')
    expect((await localModel('hf:a/b')).hub).toBe(`hf:a/b@${first}`)
    // The token is for the hub alone.
    expect(hub.storageHeaders.map(({ authorization }) => authorization).filter(Boolean)).toEqual([])
  })
})
