import { linkSync, mkdirSync, realpathSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeEach, describe, expect, it } from 'vitest'
import { npyHeader } from '../../src/files/npy.ts'
import type { Embedder } from '../../src/search/embedder.ts'
import { hardlyTrained } from '../../src/search/hardly-trained.ts'
import { type Copy, findDuplicates, shownOf } from '../../src/search/index-duplicates.ts'
import { indexFeatures } from '../../src/search/index-features.ts'
import { type IndexFacts, openIndex } from '../../src/search/index-folder.ts'
import { duplicatesTable } from '../../src/search/index-tables.ts'
import { indexFolder } from '../../src/search/make-index.ts'
import { linksOf } from '../../src/source/file-links.ts'
import { tinyConfig, workFolder } from '../run/tiny.ts'

const group = (count: number, kept: number): Copy[] =>
  Array.from({ length: count }, (_, row) => ({
    ...{ row, file: `${row}.jpg`, width: null, height: null, bytes: null, link: null, keep: row === kept },
  }))

it.each([
  ['all of a small group, in its order', 3, 2, [0, 1, 2]],
  ['the first of a large one', 9, 1, [0, 1, 2]],
  ['the one to keep before them where it comes later', 9, 7, [7, 0, 1]],
])('shows %s', (_, count, kept, rows) => {
  expect(shownOf(group(count, kept), 3).map(({ row }) => row)).toEqual(rows)
})

/** To which all images are alike. */
const blind: Embedder = {
  ...{
    config: tinyConfig(),
    bands: null,
    origin: { path: '/models/encoder.onnx', step: 1, precision: 'fp32' },
  },
  ...{
    sha256: 'a'.repeat(64),
    seal: 'a'.repeat(64),
    preparation: {},
    warnings: [],
    feature: 'mean',
    competing: ['mean'],
  },
  featureOf: (name) => ({ name, width: 2, tokens: 1 }),
  async features(source) {
    const count = source.files.length
    const values = new Float32Array(2 * count).fill(1)
    const of = new Map([['mean' as const, { width: 2, tokens: 1, values }]])
    return {
      source,
      features: { count, indices: Int32Array.from(source.files.keys()), of },
      skipped: [],
      seconds: 0,
    }
  },
}

describe('links', () => {
  let [photos, out, outside] = ['', '', '']
  beforeEach(async () => {
    const dir = await workFolder()
    ;[photos, out, outside] = [join(dir, 'photos'), join(dir, 'index'), join(dir, 'outside.png')]
    for (const folder of ['best', 'real']) mkdirSync(join(photos, folder), { recursive: true })
    const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#336699' } })
      .png()
      .toBuffer()
    for (const path of [join(photos, 'real/z.png'), join(photos, 'real/copy.png'), outside])
      writeFileSync(path, png)
    symlinkSync('../real/z.png', join(photos, 'best/a.png')) // sorts before its target
    linkSync(join(photos, 'real/z.png'), join(photos, 'zz.png'))
    symlinkSync(outside, join(photos, 'best/o.png'))
    symlinkSync(outside, join(photos, 'best/p.png'))
    symlinkSync(join(photos, 'real'), join(photos, 'best/linked'))
  })

  it('are distinguished from the files that they lead to', () => {
    const files = ['best/a.png', 'best/linked/z.png', 'best/o.png', 'best/p.png']
    const all = [...files, 'real/copy.png', 'real/z.png', 'zz.png', 'gone.png']
    expect(linksOf(photos, all)).toEqual([
      { to: 'real/z.png', kind: 'symbolic' },
      { to: 'real/z.png', kind: 'symbolic' }, // by a linked folder
      { to: realpathSync(outside), kind: 'symbolic' },
      { to: 'best/o.png', kind: 'symbolic' },
      null,
      null,
      { to: 'real/z.png', kind: 'hard' },
      null,
    ])
    // The other way round where only links are there.
    expect(linksOf(photos, ['best/a.png'])).toEqual([
      { to: realpathSync(join(photos, 'real/z.png')), kind: 'symbolic' },
    ])
  })

  it('are reported, and never kept before their target', async () => {
    await indexFolder(photos, blind, { out })
    const index = await openIndex(out)
    const report = await findDuplicates(index)
    await index.close()
    const [only] = report.groups
    expect(only!.images.map(({ file, keep, link }) => [file, keep, link?.to ?? null])).toEqual([
      ['best/a.png', false, 'real/z.png'],
      ['best/o.png', false, realpathSync(outside)],
      ['best/p.png', false, 'best/o.png'],
      ['real/copy.png', true, null],
      ['real/z.png', false, null],
      ['zz.png', false, 'real/z.png'],
    ])
    expect(report.linkedFolders).toEqual([
      { link: 'best/linked', target: realpathSync(join(photos, 'real')) },
    ])
    expect(duplicatesTable(report)).toMatch(
      /^group,file,keep,width,height,bytes,link,link_to\r\n1,best\/a\.png,0,8,8,\d+,symbolic,real\/z\.png\r\n/,
    )
  })

  it('of images that cannot be looked at count towards the limit', async () => {
    await indexFolder(photos, blind, { out })
    writeFileSync(join(photos, 'real/copy.png'), 'no image')
    const index = await openIndex(out)
    const { groups } = await findDuplicates(index)
    expect(groups[0]!.images.filter(({ width }) => width === null)).toHaveLength(1)
    await expect(findDuplicates(index, { reading: { maxSkippedShare: 0 } })).rejects.toMatchObject({
      code: 'DATA_BROKEN',
      message: expect.stringMatching(/^1 of 6 images .*real\/copy\.png: expected a JPEG/s),
    })
    await expect(findDuplicates(index, { reading: { maxPixels: 9 } })).rejects.toThrow(/limit of 0\.000009/)
    renameSync(photos, `${photos}-moved`) // then sizes are not known, and groups are all that is told
    expect((await findDuplicates(index)).groups[0]!.images.some(({ keep }) => keep)).toBe(false)
    await index.close()
  })
})

describe('groups that mean nothing', () => {
  const fineSteps = Array.from({ length: 60 }, (_, i) => i / 2) // degrees
  it('are said to be a crowd, with a threshold that tells copies apart', async () => {
    const dir = await workFolder()
    const angles = [...fineSteps, 29.5] // the last is a copy
    const values = Float32Array.from(
      angles.flatMap((a) => [Math.cos((a * Math.PI) / 180), Math.sin((a * Math.PI) / 180)]),
    )
    const npy = join(dir, 'f.npy')
    writeFileSync(
      npy,
      Buffer.concat([npyHeader({ dtype: '<f4', shape: [61, 2] }), new Uint8Array(values.buffer)]),
    )
    await indexFeatures(npy, { out: join(dir, 'index') })
    const index = await openIndex(join(dir, 'index'))
    // Neighbours are 0.99996 similar: no threshold that is tried parts them.
    const { crowding, groups } = await findDuplicates(index, { threshold: 0.99 })
    expect(crowding).toMatchObject({ largest: 61, better: null, model: null, identical: null })
    expect(crowding!.density).toBeLessThan(0.5)
    expect(groups[0]!.images).toHaveLength(61)
    const { crowding: none } = await findDuplicates(index, { threshold: 0.999995 })
    expect(none).toBeNull()
    await index.close()
  })

  it('do not hide files of the same bytes', async () => {
    const [photos, out] = await Promise.all([workFolder(), workFolder()])
    for (let i = 0; i < 24; i++) {
      const background = { r: Math.max(3, i), g: 0, b: 0 } // four of one colour
      const image = sharp({ create: { width: 8, height: 8, channels: 3, background } })
      await image.png().toFile(join(photos, `${i + 10}.png`))
    }
    await indexFolder(photos, blind, { out })
    const index = await openIndex(out)
    const { crowding, isComplete } = await findDuplicates(index)
    expect(crowding).toEqual({
      ...{ largest: 24, density: 1, ofAll: 1, better: null, model: 'after 1 step of training' },
      identical: [{ files: ['10.png', '11.png', '12.png', '13.png'] }],
    })
    expect(isComplete).toBe(true)
    await index.close()
  })

  it('are expected of a model that has learned little', () => {
    const of = (model: Partial<NonNullable<IndexFacts['model']>>) =>
      hardlyTrained({ model: { path: '/run', step: null, sha256: null, ...model } })
    expect([of({ path: 'random', step: 0 }), of({ step: 0 }), of({ step: 1 }), of({ step: 199 })]).toEqual([
      ...['with random weights', 'that was not trained', 'after 1 step of training'],
      'after 199 steps of training',
    ])
    expect([
      of({ step: 200 }),
      of({}),
      of({ step: 4, isInherited: true }),
      hardlyTrained({ model: null }),
    ]).toEqual(Array(4).fill(null))
  })
})
