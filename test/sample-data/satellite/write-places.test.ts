import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fromFile } from 'geotiff'
import { describe, expect, it } from 'vitest'
import { readIndexMask } from '../../../src/prepare/masks/index-mask.ts'
import { drawVisits } from '../../../src/sample-data/satellite/calendar.ts'
import { coverNames } from '../../../src/sample-data/satellite/covers.ts'
import { coverMap, drawLandscape, type Place } from '../../../src/sample-data/satellite/landscape.ts'
import { observe } from '../../../src/sample-data/satellite/observe.ts'
import { bands } from '../../../src/sample-data/satellite/sentinel-bands.ts'
import {
  type SatelliteDataOptions,
  UNSEEN,
  writeSatelliteData,
} from '../../../src/sample-data/satellite/write-places.ts'
import { openMaskedFolder } from '../../../src/source/masked-folder.ts'
import { temporaryFolder } from '../../tensor/temporary-folder.ts'

const small = { count: 9, size: 16, dates: 2, layout: 'stack', masks: false, seed: 3 } as const
const write = async (change: Partial<SatelliteDataOptions> = {}) => {
  const dir = join(temporaryFolder({}), 'set')
  return { dir, result: await writeSatelliteData({ dir, ...small, ...change }) }
}
const filesOf = (dir: string) =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(dir, name)).isFile())
    .sort()
const hashes = (dir: string) =>
  filesOf(dir).map((name) => [
    name,
    createHash('sha256')
      .update(readFileSync(join(dir, name)))
      .digest('hex'),
  ])
const placeOf = (label: number, index: number): Place => ({
  ...{ dominant: coverNames[label]!, seed: 3, index, size: 16 },
})

describe('writeSatelliteData', () => {
  it('stack: a file of ten bands for each date, in the order that the descriptions say', async () => {
    const { dir, result } = await write()
    expect(result).toEqual({ dir, count: 9, classes: coverNames })
    expect(readdirSync(dir).sort()).toEqual([...coverNames, 'sample-data.json'].sort())
    expect(JSON.parse(readFileSync(join(dir, 'sample-data.json'), 'utf8'))).toEqual({
      format: 'sherd-satellite-sample-data/1',
      ...small,
      classes: coverNames,
    })
    for (const [label, cover] of coverNames.entries()) {
      const files = filesOf(join(dir, cover))
      const places = label === 0 ? [0, 1] : [0]
      const expected = places.map((index) => ({ place: placeOf(label, index), index }))
      expect(files).toEqual(
        expected.flatMap(({ place, index }) =>
          drawVisits(place, 2).map(({ date }) => `0000${index}_${date}.tif`),
        ),
      )
      const { place } = expected[0]!
      const land = drawLandscape(place)
      const visit = drawVisits(place, 2)[0]!
      const painted = observe(land, { place, visit })
      const image = await (await fromFile(join(dir, cover, files[0]!))).getImage()
      const read = await image.readRasters()
      expect([read.width, read.height, read.length]).toEqual([16, 16, 10])
      expect(image.getGeoKeys()).toMatchObject({ ProjectedCSTypeGeoKey: 32632 })
      expect([image.getResolution(), image.getGDALNoData()]).toEqual([[10, -10, 0], 0])
      expect(image.getOrigin()).toEqual([...land.corner, 0])
      for (const [b, { name, metres }] of bands.entries()) {
        expect((await image.getGDALMetadata(b))?.DESCRIPTION).toBe(name)
        // A pixel of 20 m fills four of 10 m.
        const by = metres / 10
        const wanted = Uint16Array.from(
          { length: 256 },
          (_, i) => painted.bands[b]![Math.floor(i / 16 / by) * (16 / by) + Math.floor((i % 16) / by)]!,
        )
        expect(read[b]).toEqual(wanted)
      }
    }
  })

  it('bands: a file for each band, those of 20 m with half the pixels', async () => {
    const { dir } = await write({ layout: 'bands', count: 8, dates: 1 })
    const { dir: stacked } = await write({ count: 8, dates: 1 })
    for (const cover of coverNames) {
      const [stack] = filesOf(join(stacked, cover))
      const scene = stack!.slice(0, -'.tif'.length)
      const files = filesOf(join(dir, cover))
      const named = bands.map(({ code, metres }) => `${scene}_${code}_${metres}m.tif`)
      expect(files).toEqual([...named].sort())
      const all = await (await (await fromFile(join(stacked, cover, stack!))).getImage()).readRasters()
      for (const [b, name] of named.entries()) {
        const image = await (await fromFile(join(dir, cover, name))).getImage()
        const side = name.endsWith('_20m.tif') ? 8 : 16
        expect([image.getWidth(), image.getHeight(), image.getResolution()[0]]).toEqual([
          side,
          side,
          160 / side,
        ])
        const read = (await image.readRasters())[0] as Uint16Array
        const corner = (x: number, y: number) => (all[b] as Uint16Array)[(y * 16 + x) * (16 / side)]
        expect([...read]).toEqual([...read.keys()].map((i) => corner(i % side, Math.floor(i / side))))
      }
    }
  })

  it('masks: images with a mask of the covers for each, and no class where the ground is not seen', async () => {
    const { dir } = await write({ masks: true, count: 40 })
    const folder = await openMaskedFolder(dir)
    expect(folder.classes).toEqual(coverNames)
    expect(folder.images.files).toHaveLength(80)
    let unseen = 0
    for (const [i, file] of folder.images.files.entries()) {
      const [, cover, number, date] = /^(.+)-(\d{5})_(\d{8})\.tif$/.exec(file)!
      const place = placeOf(coverNames.indexOf(cover as (typeof coverNames)[number]), Number(number))
      const visit = drawVisits(place, 2).find((each) => each.date === date)!
      const land = drawLandscape(place)
      const { hidden } = observe(land, { place, visit })
      const mask = await readIndexMask(folder.masks[i]!, 1e6)
      const wanted = coverMap(land).map((label, at) => (hidden[at] ? UNSEEN : label))
      expect(mask).toEqual({ width: 16, height: 16, indices: wanted })
      unseen += wanted.filter((label) => label === UNSEEN).length
    }
    expect(unseen).toBeGreaterThan(0)
  })

  it('writes the same bytes for the same seed, and the same places whatever their number', async () => {
    const [one, again, more, other] = await Promise.all([
      write(),
      write(),
      write({ count: 16 }),
      write({ seed: 4 }),
    ])
    expect(hashes(again.dir)).toEqual(hashes(one.dir))
    const without = ([name]: (string | undefined)[]) => name !== 'sample-data.json'
    expect(hashes(more.dir)).toEqual(expect.arrayContaining(hashes(one.dir).filter(without)))
    const seen = new Set(hashes(one.dir).map(([, hash]) => hash))
    expect(hashes(other.dir).filter(([, hash]) => seen.has(hash))).toEqual([])
  })

  it('leaves a complete set alone, and refuses any other content', async () => {
    const { dir } = await write({ count: 8, dates: 1 })
    const written = filesOf(dir).map((name) => statSync(join(dir, name)).mtimeMs)
    await writeSatelliteData({ dir, ...small, count: 8, dates: 1 })
    expect(filesOf(dir).map((name) => statSync(join(dir, name)).mtimeMs)).toEqual(written)
    await expect(writeSatelliteData({ dir, ...small, count: 8, dates: 2 })).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringMatching(/another sample set\. Expected .*"dates":2.* found .*"dates":1/),
    })
  })

  it.each([
    [{ count: 7 }, /expected count, an integer of at least 8, got 7/],
    [{ size: 17 }, /expected an even size.* got 17/],
    [{ size: 14 }, /from 16 to 1024, got 14/],
    [{ dates: 0 }, /dates, an integer from 1 to 60, got 0/],
    [{ dates: 61 }, /got 61/],
    [{ seed: -1 }, /expected seed/],
    [{ masks: true, layout: 'bands' as const }, /the layout "stack" with them, got "bands"/],
  ])('refuses %o', async (change, message) => {
    const dir = join(temporaryFolder({}), 'set')
    await expect(writeSatelliteData({ dir, ...small, ...change })).rejects.toThrow(message)
    expect(existsSync(dir)).toBe(false)
  })
})
