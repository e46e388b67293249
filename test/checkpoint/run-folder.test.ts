import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  createRun,
  expectUnused,
  openRun,
  type RunFacts,
  runPaths,
  updateConfig,
} from '../../src/checkpoint/run-folder.ts'
import { decodedConfig } from '../../src/config/resolve.ts'
import { writeWhole } from '../../src/files/write-whole.ts'
import { fingerprint } from '../../src/source/open.ts'
import { tinyConfig, workFolder } from '../run/tiny.ts'

const facts: RunFacts = {
  format: 'sherd-run/1',
  preset: 'tiny',
  data: { dir: '/images', files: 2, fingerprint: '0123456789abcdef', classes: ['a', 'b'] },
  statistics: { mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2] },
  started: '2026-01-01T00:00:00.000Z',
  engine: { libtorch: '1.13.1', device: 'cpu', precision: 'float32', threads: 2 },
}
const run = (message: RegExp) =>
  expect.objectContaining({ code: 'RUN', message: expect.stringMatching(message) as string }) as Error

describe('createRun', () => {
  it('writes what openRun reads', async () => {
    const dir = join(await workFolder(), 'new', 'run')
    const config = tinyConfig()
    createRun(dir, config, facts)
    expect(openRun(dir)).toEqual({ config, facts, latest: null })
    expect(readdirSync(dir).sort()).toEqual(['checkpoints', 'config.json', 'run.json', 'samples'])
  })

  it('takes an empty folder, and refuses one that is in use', async () => {
    const dir = await workFolder()
    createRun(dir, tinyConfig(), facts)
    expect(() => createRun(dir, tinyConfig(), facts)).toThrow(
      run(
        /already holds a run: continue with --resume, replace it with --overwrite, or choose another folder for --out\.$/,
      ),
    )
    const other = await workFolder()
    writeFileSync(join(other, 'thesis.tex'), '')
    expect(() => createRun(other, tinyConfig(), facts)).toThrow(
      run(/is not empty: choose another folder for --out\.$/),
    )
    expect(() => createRun(join(other, 'thesis.tex'), tinyConfig(), facts)).toThrow(
      run(/is a file: choose another folder/),
    )
    expect(() => createRun(join(other, 'thesis.tex', 'run'), tinyConfig(), facts)).toThrow(
      run(/Cannot create the folder .*thesis\.tex/),
    )
    expect(readdirSync(other)).toEqual(['thesis.tex'])
  })
})

it('a run of version 0.1 is read as what it meant, and written as this version once', async () => {
  const dir = await workFolder()
  const config = tinyConfig()
  createRun(dir, config, facts)
  const { version: _, decoder, ...rest } = decodedConfig(config)
  const { kind: _kind, ...data } = config.data
  const old = {
    ...rest,
    data: { bands: null, minValid: 0.5, ...data },
    model: { ...config.model, frames: 1, groups: null, compat: null, decoderTimeWidth: 64 },
    mask: { ...decodedConfig(config).mask, perFrame: false },
  }
  const model = { ...old.model, decoderWidth: 16, decoderDepth: 1, decoderHeads: 2 }
  const path = runPaths(dir).config
  writeFileSync(path, JSON.stringify({ ...old, model }))
  expect(openRun(dir).config).toEqual(config)
  expect(decoder).toEqual({ kind: 'transformer', width: 16, depth: 1, heads: 2 })

  updateConfig(dir, config)
  expect(readFileSync(path, 'utf8')).toBe(`${JSON.stringify(config, null, 2)}\n`)
  const { ino } = statSync(path) // every writing is a new file
  updateConfig(dir, config)
  expect(statSync(path).ino).toBe(ino)

  writeFileSync(path, JSON.stringify({ ...config, version: 4 }))
  expect(() => openRun(dir)).toThrow(run(/config\.json .*version 4, and this sherd reads 1 to 3.*update/))
})

describe('expectUnused', () => {
  it('creates nothing', async () => {
    const dir = await workFolder()
    expectUnused(join(dir, 'run'))
    expect(readdirSync(dir)).toEqual([])
  })
})

describe('openRun', () => {
  async function damagedRun(damage: (paths: ReturnType<typeof runPaths>) => void): Promise<string> {
    const dir = await workFolder()
    createRun(dir, tinyConfig(), facts)
    damage(runPaths(dir))
    return dir
  }

  it('refuses what is no run', async () => {
    const empty = await workFolder()
    expect(() => openRun(empty)).toThrow(run(/is not a run of sherd: it has no config\.json and run\.json/))
    expect(() => openRun(join(empty, 'nowhere'))).toThrow(run(/nowhere is not a run of sherd/))
  })

  it.each<[string, (paths: ReturnType<typeof runPaths>) => void, RegExp]>([
    ['a lost run.json', ({ facts }) => rmSync(facts), /is not a run of sherd/],
    ['a cut run.json', ({ facts }) => writeFileSync(facts, '{"format":'), /^Cannot read .*run\.json: .*JSON/],
    [
      'a run.json of the future',
      ({ facts: path }) => writeFileSync(path, JSON.stringify({ ...facts, format: 'sherd-run/2' })),
      /run\.json is not of this version of sherd: .*format/s,
    ],
    ['a cut config.json', ({ config }) => writeFileSync(config, ''), /^Cannot read .*config\.json: .*JSON/],
    [
      'a config.json with an unknown key',
      ({ config }) => writeFileSync(config, '{"teacher":{}}'),
      /config\.json is not of this version of sherd: There is no configuration key "teacher"/,
    ],
    [
      'a config.json of something else',
      ({ config }) => writeFileSync(config, '[1, 2]'),
      /config\.json is not of this version of sherd: configuration: .*object/,
    ],
  ])('refuses %s, naming the file', async (_, damage, message) => {
    const dir = await damagedRun(damage)
    expect(() => openRun(dir)).toThrow(run(message))
  })

  it('finds the latest checkpoint by its number, and none that was being written', async () => {
    const dir = await damagedRun(({ checkpoints }) => {
      for (const name of ['step-00000900', 'step-00001000', '.writing-step-00001100', 'notes'])
        mkdirSync(join(checkpoints, name))
    })
    expect(openRun(dir).latest).toEqual({ step: 1000, path: join(dir, 'checkpoints', 'step-00001000') })
  })
})

describe('fingerprint', () => {
  const of = (...files: string[]) => fingerprint({ kind: 'images', files })

  it('is that of the list of files: of every name and their order', () => {
    expect(of('a.png', 'b.png')).toMatch(/^[0-9a-f]{16}$/)
    expect(of('a.png', 'b.png')).toBe(of('a.png', 'b.png'))
    const others = [
      of('a.png'),
      of('b.png', 'a.png'),
      of('a.png', 'b.png', 'c.png'),
      of('a.pngb.png'),
      of('a.png', 'c.png'),
    ]
    expect(new Set([...others, of('a.png', 'b.png')]).size).toBe(6)
  })
})

describe('writeWhole', () => {
  it('replaces a file and leaves nothing else', async () => {
    const dir = await workFolder()
    for (const text of ['one', 'two']) writeWhole(join(dir, 'file'), text)
    expect(readFileSync(join(dir, 'file'), 'utf8')).toBe('two')
    expect(readdirSync(dir)).toEqual(['file'])
  })
})
