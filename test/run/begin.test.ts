import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { resolveConfig } from '../../src/config/resolve.ts'
import { planMachine } from '../../src/machine/plan.ts'
import { begin } from '../../src/run/begin.ts'
import { listenToNotes } from '../../src/source/notes.ts'
import { folderOfFile } from '../after-file.ts'
import { tiff } from '../source/raster/make-rasters.ts'

it('a run knows what was seen of its data, when they were opened and when they were measured', async () => {
  const dir = folderOfFile()
  const file = (scale: number) => {
    const xml = `<GDALMetadata><Item name="DESCRIPTION" sample="0" role="description">B2</Item><Item name="SCALE" sample="0" role="scale">${scale}</Item></GDALMetadata>`
    return tiff({ width: 8, height: 8, type: 'f4', xml, value: (_, y, x) => (y === x ? -3e38 : 10) })
  }
  writeFileSync(join(dir, 'a.tif'), file(1))
  writeFileSync(join(dir, 'b.tif'), file(2))
  const config = resolveConfig({
    data: { bands: ['B2'] },
    model: { imageSize: 8, patchSize: 4, size: 'tiny' },
    train: { device: 'cpu', batchSize: 2 },
  })
  const told: string[] = []
  listenToNotes((note) => told.push(note))
  const { notes, facts } = await begin({ config, preset: 'x', data: dir, out: join(dir, 'run') })
  expect(notes).toEqual([expect.stringMatching(/^The files differ in what their values mean: B2 has/)])
  expect(told).toEqual(notes)
  await facts(planMachine({ ...config.train, workers: 1 }))
  expect(notes).toEqual([told[0], expect.stringMatching(/^B2 has the mean -3\.75e\+37/)])
})
