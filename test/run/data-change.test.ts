// A run whose files change: refused, with what to do, and accepted where that is asked for.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, it } from 'vitest'
import { runPaths } from '../../src/checkpoint/run-folder.ts'
import { readMetrics, readNotes, readSkipped } from '../../src/run/journal.ts'
import { run, sampleFolder, tinyConfig, workFolder } from './tiny.ts'

let [images, out] = ['', '']
const config = (over: Parameters<typeof tinyConfig>[0] = {}) =>
  tinyConfig({ train: { steps: 12 }, checkpoint: { everySteps: 2 }, ...over })
const broken = ['wood/broken-1.jpg', 'wood/broken-2.jpg']
beforeEach(async () => {
  images = await sampleFolder(20)
  out = join(await workFolder(), 'run')
})

const factsOf = () =>
  JSON.parse(readFileSync(runPaths(out).facts, 'utf8')) as {
    data: { files: number; fingerprint: string }
    dataChanges?: { step: number; before: object; after: object }[]
  }

it('continues without the files that it refused, on request, and records that in its folder', async () => {
  for (const file of broken) writeFileSync(join(images, file), 'no image')
  await expect(run({ config: config(), data: images, out })).rejects.toMatchObject({
    code: 'DATA_BROKEN',
    message: expect.stringMatching(
      /^2 of 22 images .*At most 1 may be skipped.*\n {2}wood\/broken-\d\.jpg, wood\/broken-\d\.jpg: expected a JPEG.*\nThen continue with --resume, and --accept-data-change if files were removed\.$/s,
    ),
  })
  expect(
    readSkipped(runPaths(out).skipped)
      .map(({ file }) => file)
      .sort(),
  ).toEqual(broken)
  const taken = readMetrics(runPaths(out).metrics).length
  for (const file of broken) rmSync(join(images, file))
  const before = factsOf().data
  await expect(run({ config: config(), out, resume: true })).rejects.toMatchObject({
    code: 'RUN',
    message: expect.stringMatching(
      /^2 files that this run could not use are gone from .*, and all others are there\. .*add --accept-data-change/,
    ),
  })
  expect(factsOf().data).toEqual(before)

  const events = await run({ config: config(), out, resume: true, acceptDataChange: true })
  expect(events.at(-1)).toMatchObject({ kind: 'end', reason: 'completed', step: 12 })
  const { data, dataChanges } = factsOf()
  expect([before.files, data.files]).toEqual([22, 20])
  expect(dataChanges).toEqual([
    {
      ...{ time: expect.any(String) as string, step: taken },
      before: { files: 22, fingerprint: before.fingerprint },
      after: { files: 20, fingerprint: data.fingerprint },
    },
  ])
  const resumed = readNotes(runPaths(out).journal).filter(({ event }) => event === 'resumed')
  expect(resumed).toMatchObject([{ changes: [expect.stringMatching(/^the list of files: 22 → 20 /)] }])
  // It is the run's own data now.
  const longer = await run({ config: config({ train: { steps: 14 } }), out, resume: true })
  expect(longer.at(-1)).toMatchObject({ reason: 'completed', step: 14 })
})

it('tells other changes apart, and another limit of what is refused', async () => {
  await run({ config: config({ train: { steps: 2 } }), data: images, out })
  const smaller = config({ data: { maxPixels: 1000 }, train: { steps: 4 } })
  await expect(run({ config: smaller, out, resume: true })).rejects.toThrow(
    /would learn from other files with\n {2}data\.maxPixels: 100000000 → 1000\n.*--accept-data-change/,
  )
  const accepted = await run({ config: smaller, out, resume: true, acceptDataChange: true })
  expect(accepted.at(-1)).toMatchObject({ reason: 'completed', step: 4 })
  rmSync(join(images, 'wood'), { recursive: true })
  await expect(run({ config: smaller, out, resume: true })).rejects.toThrow(
    /holds 18 images that are not the 20 this run was started with\. .*--accept-data-change/,
  )
})
