// What inspect says is what training does: the values of the shared cases, and the reasons of the readers themselves.
import { copyFileSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { listCheckpoints } from '../../src/checkpoint/checkpoint.ts'
import { writeFeatures } from '../../src/evaluate/feature-file.ts'
import { inspect, modelsIn } from '../../src/inspect/inspect.ts'
import type { Inspected } from '../../src/inspect/inspected.ts'
import { packageRoot } from '../../src/package-root.ts'
import { packImages } from '../../src/prepare/pack/pack.ts'
import { indexFeatures } from '../../src/search/index-features.ts'
import { openImageFolder } from '../../src/source/image-folder.ts'
import { featuresOf } from '../../src/weights/folder-features.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { run, sampleFolder, tinyConfig, workFolder } from '../run/tiny.ts'

const cases = join(packageRoot(), '../shared/cases')
const of = (...parts: string[]) => inspect(join(cases, ...parts), { limits: {} })
const all = async (path: string): Promise<[Inspected, Inspected[]]> => {
  const files: Inspected[] = []
  const own = await inspect(path, { limits: {}, onFile: (file) => files.push(file) })
  return [own, files]
}
const textOf = ({ rows }: Inspected, label: string) => rows.find(([name]) => name === label)?.[1]

describe('images', () => {
  it('of a plain file', async () => {
    expect(await of('images/plain.jpg')).toMatchObject({
      ...{ what: 'image', title: 'JPEG image', usable: true, reason: null },
      facts: {
        format: 'jpeg',
        width: 320,
        height: 240,
        orientation: 1,
        bits: 8,
        channels: 3,
        colours: 'RGB',
        alpha: false,
        pages: 1,
      },
    })
  })

  it('are turned by EXIF', async () => {
    const found = await of('images/orientation/png-rawprofile-6.png')
    expect(found.facts).toMatchObject({ width: 120, height: 160, orientation: 6 })
    expect(textOf(found, 'size')).toBe(
      '120 × 160 pixels (EXIF orientation 6: turned right; stored as 160 × 120)',
    )
  })

  it('have the format of their content, not of their name', async () => {
    expect((await of('images/bmp-named-jpg.jpg')).title).toBe('BMP image')
    expect(await of('images/heic-named-jpg.jpg')).toMatchObject({
      usable: false,
      reason: expect.stringContaining('HEIC: convert it'),
    })
  })

  it('that are damaged say so', async () => {
    expect(await of('images/half.jpg')).toMatchObject({
      ...{ usable: false, facts: { width: 320, height: 240 } },
      reason: expect.stringContaining('premature end of JPEG'),
    })
  })

  it.each([
    ['dark/sentinel-rgb-0.tif', 3000, 12],
    ['dark/xray-12bit.png', 4095, 16],
  ])('of 16 bits that use few of them: %s', async (file, largest, levels) => {
    const { facts, notes } = await of(file)
    expect(facts).toMatchObject({ bits: 16, largest })
    expect(notes).toEqual([expect.stringContaining(`of 256 levels only ${levels} are left`)])
    expect(notes[0]).toContain('data.range=[0,4095]')
  })

  it('of four bands are RGB where the file says that the fourth is no alpha', async () => {
    const found = await of('naip/rgbn8-photometric-rgb.tif')
    expect(found.facts).toMatchObject({ channels: 4, alpha: false, colours: 'RGB' })
    expect(textOf(found, 'becomes')).toBe('a band that is neither colour nor alpha is left out')
    expect(await of('naip/rgbn8-minisblack.tif')).toMatchObject({
      ...{ what: 'raster', usable: true },
      facts: { asImage: { reason: expect.stringContaining('got 4 channels') } },
    })
  })

  it('in a folder: a summary, with the reasons for what is left out', async () => {
    const [own, files] = await all(join(cases, 'images'))
    expect(own).toMatchObject({
      ...{ what: 'images', usable: false, reason: '2 of 5 files would be left out' },
      facts: { files: 5, usable: 3, formats: { BMP: 1, JPEG: 1, PNG: 1 }, channels: { RGB: 3 } },
    })
    const leftOut = own.facts.leftOut as { count: number; first: string; reason: string }[]
    const byName = new Map(leftOut.map((each) => [each.first, each.reason]))
    expect(byName.get('heic-named-jpg.jpg')).toContain('HEIC')
    // libvips keeps one text of errors for all threads, so what it says of a file varies.
    expect(byName.get('half.jpg')).toContain('cannot be decoded')
    // some are looked at together, and all are named in order
    expect(files.map(({ path }) => path)).toEqual(
      [
        'bmp-named-jpg.jpg',
        'half.jpg',
        'heic-named-jpg.jpg',
        'orientation/png-rawprofile-6.png',
        'plain.jpg',
      ].map((name) => join(cases, 'images', name)),
    )
  })

  it('in folders that are classes', async () => {
    const dir = await sampleFolder(20)
    const own = await inspect(dir, { limits: {} })
    const counts = Object.values(own.facts.classes as Record<string, number>)
    expect([own.usable, counts.length, counts.reduce((sum, count) => sum + count, 0)]).toEqual([true, 10, 20])
    expect(textOf(own, 'sizes')).toBe('all 20 × 20 pixels')
  })

  it('with masks', async () => {
    for (const [name, ending] of [
      ['tif-masks', '.tif'],
      ['upper-case-ending', '.PNG'],
    ] as const) {
      const own = await of('masks', name)
      expect(own).toMatchObject({ what: 'masked images', usable: true, facts: { files: 8, masks: 8 } })
      expect(textOf(own, 'images')).toBe(`8 of 8 files, each with a mask (${ending})`)
    }
  })

  it('stop where asked', async () => {
    const dir = await sampleFolder(20)
    const stop = new AbortController()
    const left = inspect(dir, { limits: {}, signal: stop.signal, onProgress: () => stop.abort() })
    await expect(left).rejects.toMatchObject({
      code: 'INTERRUPTED',
      message: expect.stringMatching(/^Stopped after \d+ of 20 files/),
    })
  })
})

describe('rasters', () => {
  const means = (found: Inspected) =>
    (found.facts.bands as { mean: number }[]).map(({ mean }) => Number(mean.toFixed(1)))

  // GDAL 3.6 masks 25.0 % of these, and gives these means of what is left.
  it.each([
    ['nodata-f32-issue259', -3.4e38, null],
    ['nodata-f32-min', -3.4028234663852886e38, null],
    ['internal-mask', null, 'a mask image'],
  ])('%s: a quarter has no data', async (name, nodata, mask) => {
    const found = await of('rasters', name, 'a_20200101.tif')
    expect(found).toMatchObject({
      ...{ what: 'raster', usable: true },
      facts: {
        validShare: 0.75,
        nodata,
        mask,
        type: 'float32',
        crs: 'EPSG:32632',
        metresPerPixel: 10,
        dates: ['2020-01-01T00:00:00.000Z'],
      },
    })
    expect((found.facts.bands as { name: string }[]).map((band) => band.name)).toEqual(['B2', 'B3', 'B4'])
    expect(means(found)).toEqual([139.8, 239.8, 339.8])
    expect(textOf(found, 'no data')).toMatch(/: 25 % of the pixels$/)
  })

  it('whose alpha band is no band of theirs', async () => {
    const found = await of('rasters/alpha-band/a_20200101.tif')
    expect(found.facts).toMatchObject({
      validShare: 0.75,
      mask: 'an alpha band',
      bands: [{ name: 'red' }, { name: 'green' }, { name: 'blue' }],
    })
  })

  it('of two places under one name', async () => {
    const own = await of('rasters/far')
    expect(own).toMatchObject({ what: 'rasters', usable: false })
    expect(own.reason).toMatch(
      /are of different places: place1_20200101\.tif covers x 500000 to 500640.*x 600000 to 600640/,
    )
  })

  it('with another scale and offset in one of them', async () => {
    const [own, files] = await all(join(cases, 'rasters/scale-offset'))
    expect(own.notes).toEqual([expect.stringContaining('data.applyScale=true')])
    const byName = new Map(files.map((file) => [file.path.split('/').at(-1), file]))
    expect(means(byName.get('new_20230101.tif')!)[0]).toBe(2317.7)
    expect(means(byName.get('old_20200101.tif')!)[0]).toBe(1317.7)
    expect(byName.get('new_20230101.tif')!.facts.bands).toMatchObject([
      { scale: 0.0001, offset: -0.1 },
      {},
      {},
    ])
  })
})

describe('models of other programs', () => {
  it.each([
    ['plain.pth', []],
    ['legacy-tar.pth', []],
    ['dino.pth', ['Took the weights "teacher", not "student"']],
    ['prefix-vit.pth', ['Took the names under "vit."']],
    ['timm-state_dict_ema.pth', ['not "state_dict_ema" (averaged weights)']],
    ['mae-linprobe.pth', []],
  ])('%s', async (name, notes) => {
    const found = await of('weights', name)
    expect(found).toMatchObject({
      ...{ what: 'pytorch', usable: true },
      facts: {
        model: { width: 32, depth: 2, patchSize: 8, imageSize: [32, 32], channels: 3 },
        unsaid: ['model.heads'],
      },
    })
    for (const note of notes) expect(found.notes.join('\n')).toContain(note)
    expect(found.next[0]).toMatch(/^sherd import .* --set model\.heads=…$/)
  })

  it.each([
    ['hf-vit', 0.5, 0.5],
    ['hf-do_normalize-false', 0, 1],
    ['timm-flat', 0.5, 0.5],
  ])('%s says how its images were normalised', async (name, mean, std) => {
    expect(await of('weights', name)).toMatchObject({
      ...{ what: 'huggingface', usable: true },
      facts: { statistics: { mean: [mean, mean, mean], std: [std, std, std] } },
    })
  })

  it('leaves open what names do not show', async () => {
    const found = await of('weights', 'norm_pre.pth') // as CLIP has one, with gelu or quick-gelu
    expect(found).toMatchObject({ usable: true, facts: { unsaid: ['model.heads', 'model.activation'] } })
    expect(found.next[0]).toMatch(/ --set model\.heads=… --set model\.activation=…$/)
  })

  it('has classes, of which several may be right', async () => {
    expect((await of('weights/hf-multilabel')).facts).toMatchObject({
      classes: ['tree', 'water', 'road'],
      multiLabel: true,
    })
    expect((await of('weights/mae-linprobe.pth')).facts.classes).toHaveLength(5)
  })

  it.each([
    ['whole-module.pth', /^it is a pickled module .*: save its state_dict\(\) instead$/],
    ['lfs-pointer.safetensors', /Git LFS pointer.*git lfs pull/],
  ])('%s is refused', async (name, reason) => {
    const found = await of('weights', name)
    expect([found.usable, found.next]).toEqual([false, []])
    expect(found.reason).toMatch(reason)
  })

  it('are found in a folder of them', async () => {
    expect((await modelsIn(join(cases, 'weights'))).length).toBe(21)
  })
})

describe('models of sherd', () => {
  let dir: string
  let data: string
  beforeAll(async () => {
    data = await sampleFolder()
    dir = join(await workFolder(), 'a run')
    const config = tinyConfig({ train: { steps: 4 }, checkpoint: { everySteps: 2 } })
    await run({ config, out: dir, data })
  })

  const pathOf = (step: number) =>
    listCheckpoints(join(dir, 'checkpoints')).find((each) => each.step === step)!.path

  it('a run', async () => {
    const found = await inspect(dir, { limits: {} })
    expect(found).toMatchObject({
      ...{ what: 'run', usable: true, notes: [] },
      facts: {
        model: { imageSize: [16, 16], patchSize: [4, 4], channels: 3, width: 32, depth: 1, heads: 2 },
        ...{ preset: 'tiny', data: { dir: data, files: 40 }, step: 4, steps: 4, complete: true },
        checkpoints: [
          { step: 2, damage: null },
          { step: 4, damage: null },
        ],
      },
    })
    // cls 32, patches 3·16·32 + 32, norm 64; a block: norms 128, attention 4·32² + 128, MLP 2·4·32² + 160.
    expect(found.facts.encoderParameters).toBe(32 + 1568 + 64 + 128 + 4224 + 8352)
    expect(found.next[0]).toBe(`sherd reconstruct --model '${dir}' --data DIR --out rebuilt.png`)
  })

  it('a checkpoint, by its folder and by its file', async () => {
    const path = pathOf(4)
    const names = [path, join(path, 'model.safetensors')]
    for (const each of names)
      expect(await inspect(each, { limits: {} })).toMatchObject({
        usable: true,
        facts: { step: 4, preset: 'tiny' },
      })
  })

  it('features, and an index of them', async () => {
    const beside = (name: string) => join(dir, '..', name)
    const encoder = await openEncoder({ model: dir, device: 'cpu' })
    const features = await featuresOf(encoder, data)
    writeFeatures(beside('f.npy'), features, { pooling: 'mean', model: encoder.origin })
    await indexFeatures(beside('f.npy'), { out: beside('index') })
    const said = { images: 40, width: 32, pooling: 'mean', model: { path: dir, step: 4 } }
    expect(await inspect(beside('f.npy'), { limits: {} })).toMatchObject({
      ...{ what: 'features', usable: true, facts: { ...said, dir: data } },
    })
    expect(await inspect(beside('index'), { limits: {} })).toMatchObject({
      ...{ what: 'index', usable: true, facts: { ...said, source: { dir: data }, search: 'exact' } },
    })
    truncateSync(beside('f.npy'), 1000)
    expect(await inspect(beside('f.npy'), { limits: {} })).toMatchObject({
      ...{ what: 'features', usable: false, reason: expect.stringContaining('do not make its 1000 bytes') },
    })
  })

  it('a pack', async () => {
    const out = join(dir, '..', 'pack')
    await packImages({ source: await openImageFolder(data), out, version: '0', limit: 10 })
    const found = await inspect(out, { limits: {} })
    expect(found).toMatchObject({
      ...{ what: 'pack', usable: true, facts: { images: 10, channels: 3, bytes: 10 * 20 * 20 * 3 } },
    })
    truncateSync(join(out, 'shapes.npy'), 40)
    expect((await inspect(out, { limits: {} })).usable).toBe(false)
  })

  it('a run whose newest checkpoint is damaged', async () => {
    truncateSync(join(pathOf(4), 'model.safetensors'), 2000)
    const found = await inspect(dir, { limits: {} })
    expect(found).toMatchObject({ usable: true, facts: { step: 2, complete: false } })
    expect(found.notes).toEqual([expect.stringMatching(/step-\d*4 is damaged: model\.safetensors /)])
    expect(found.next[0]).toBe(`sherd pretrain --out '${dir}' --resume`)
    rmSync(pathOf(2), { recursive: true })
    expect(await inspect(dir, { limits: {} })).toMatchObject({
      usable: false,
      reason: expect.stringContaining('none of its checkpoints is whole'),
    })
  })
})

describe('what is hostile', () => {
  it('gets a reason, and nothing more', async () => {
    const dir = await workFolder()
    const path = (name: string, bytes: string | Buffer) => {
      writeFileSync(join(dir, name), bytes)
      return join(dir, name)
    }
    const cut = (from: string, name: string, length: number) => {
      copyFileSync(join(cases, from), join(dir, name))
      truncateSync(join(dir, name), length)
      return join(dir, name)
    }
    mkdirSync(join(dir, 'run'))
    for (const name of ['run.json', 'config.json']) writeFileSync(join(dir, 'run', name), '[[[')
    mkdirSync(join(dir, 'index'))
    writeFileSync(join(dir, 'index/index.json'), '{}')
    const rows: [string, RegExp][] = [
      [path('empty.png', ''), /the file is empty/],
      [path('empty.bin', ''), /none of what sherd reads/],
      [path('text.jpg', 'hello'), /expected a JPEG/],
      [path('a.safetensors', Buffer.alloc(16, 0xff)), /header/],
      [path('a.onnx', Buffer.alloc(64, 0xff)), /./],
      [path('a.npy', 'x'.repeat(200)), /./],
      [path('a.npz', 'PK\x03\x04'), /./],
      [path('a.pth', 'PK\x03\x04'), /cannot be read as a PyTorch file/],
      [cut('images/plain.jpg', 'cut.jpg', 100), /premature end/],
      [cut('rasters/far/place1_20200101.tif', 'cut.tif', 1000), /./],
      [cut('weights/plain.pth', 'cut.pth', 300), /cut short/],
      [join(dir, 'run'), /Cannot read .*config\.json|Cannot read .*run\.json/],
      [join(dir, 'index'), /./],
      ['/dev/zero', /no regular file/],
      ['/proc', /\/proc/],
    ]
    for (const [file, reason] of rows) {
      const found = await inspect(file, { limits: {} })
      expect([file, found.usable, found.next]).toEqual([file, false, []])
      expect(found.reason).toMatch(reason)
    }
  })

  it('of too many pixels is refused before it is decoded', async () => {
    const found = await inspect(join(cases, 'images/plain.jpg'), { limits: { maxPixels: 1000 } })
    expect(found).toMatchObject({
      usable: false,
      reason: expect.stringContaining('320 x 240 pixels are more than the limit'),
    })
  })

  it('of no such path is wrong usage', async () => {
    await expect(inspect('/no/such/path', { limits: {} })).rejects.toMatchObject({ code: 'USAGE' })
  })
})
