import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openRun, runPaths } from '../../src/checkpoint/run-folder.ts'
import { expectSameRequest } from '../../src/run/existing.ts'
import { readMetrics } from '../../src/run/journal.ts'
import { lockRun } from '../../src/run/lock.ts'
import { asidePath, settleReplacement } from '../../src/run/replace.ts'
import { run, sampleFolder, tinyConfig, workFolder } from './tiny.ts'

let [data, out] = ['', '']
beforeAll(async () => {
  data = await sampleFolder(20)
})
const old = tinyConfig({ train: { steps: 2, seed: 1 } })
const next = tinyConfig({ train: { steps: 3, seed: 2 } })
beforeEach(async () => {
  out = join(await workFolder(), 'run')
  await run({ config: old, data, out })
})
const seed = () => openRun(out).config.train.seed
const beside = () => readdirSync(dirname(out))

describe('a run in the place of another one', () => {
  it('removes it once it has taken its first step', async () => {
    const events: string[] = []
    await run({ config: next, data, out, overwrite: true }, (event) => {
      events.push(`${event.kind} ${existsSync(asidePath(out))}`)
      return false
    })
    expect(events.slice(0, 2)).toEqual(['start true', 'step false'])
    expect([seed(), beside()]).toEqual([2, ['run']])
    expect(readMetrics(runPaths(out).metrics)).toHaveLength(3)
  })

  it('brings it back where it cannot begin, or is stopped before', async () => {
    const broken = tinyConfig({ model: { imageSize: 64, patchSize: 32 } })
    await expect(run({ config: broken, data, out, overwrite: true })).rejects.toMatchObject({
      code: 'DATA_BROKEN',
    })
    const stop = new AbortController()
    const stopped = run({ config: next, data, out, overwrite: true, signal: stop.signal }, ({ kind }) => {
      if (kind === 'start') stop.abort()
      return false
    })
    await expect(stopped).rejects.toMatchObject({ code: 'INTERRUPTED' })
    expect([seed(), beside(), openRun(out).latest?.step]).toEqual([1, ['run'], 2])
  })

  it('is no matter of course: not of what is no run, has other files, is in use or is used', async () => {
    const overwrite = (more: object = {}) => run({ config: next, data, out, overwrite: true, ...more })
    const code = 'USAGE'
    await expect(overwrite({ out: data, data: out })).rejects.toMatchObject({ code })
    await expect(overwrite({ init: join(out, 'checkpoints') })).rejects.toMatchObject({ code })
    const lock = lockRun(out)
    await expect(overwrite()).rejects.toMatchObject({
      code: 'RUN',
      message: /being written by another process/,
    })
    lock.release()
    writeFileSync(join(out, 'notes.txt'), 'mine')
    await expect(overwrite()).rejects.toMatchObject({ code, message: /notes\.txt/ })
    expect([seed(), beside()]).toEqual([1, ['run']])
  })
})

describe('after a crash between', () => {
  it('brings the old run back where the new one has not begun', async () => {
    renameSync(out, asidePath(out))
    settleReplacement(out) // before the new folder is made
    expect([seed(), beside()]).toEqual([1, ['run']])
    renameSync(out, asidePath(out))
    mkdirSync(join(out, 'checkpoints'), { recursive: true })
    writeFileSync(runPaths(out).config, '{}') // and after
    settleReplacement(out)
    expect([seed(), beside()]).toEqual([1, ['run']])
  })

  it('removes the old run where the new one has begun, whatever begins next', async () => {
    renameSync(out, asidePath(out))
    await run({ config: next, data, out: `${out}-new` })
    renameSync(`${out}-new`, out)
    await run({ config: next, data, out, resume: true })
    expect([seed(), beside()]).toEqual([2, ['run']])
  })
})

describe('expectSameRequest', () => {
  const request = (more: object = {}) =>
    expectSameRequest({ config: old, preset: 'tiny', data, out, ...more })
  const refused = (more: object, message: RegExp) => expect(request(more)).rejects.toThrow(message)

  it('takes what the run was begun with, and knows whether it is complete', async () => {
    expect(await request()).toEqual({ isComplete: true })
    expect(await request({ data: undefined })).toEqual({ isComplete: true })
    renameSync(join(runPaths(out).checkpoints, 'step-00000002'), join(runPaths(out).checkpoints, 'gone'))
    expect(await request()).toEqual({ isComplete: false })
  })

  it('refuses everything else, with each difference and the ways out', async () => {
    await refused(
      { preset: 'other', config: next },
      /another request:\n {2}preset: tiny → other\nChoose .* --overwrite\. To continue what is there: "sherd pretrain --out .* --resume"$/,
    )
    await refused(
      { config: next },
      /:\n {2}train\.seed: 1 → 2\n {2}train\.steps: 2 → 3\nChoose another folder/,
    )
    await refused(
      { data: '/elsewhere' },
      /:\n {2}--data: .*images → \/elsewhere\nContinue it so with --resume, or/,
    )
    await refused({ init: '/weights' }, /:\n {2}--init: not set → \/weights\nChoose/)
    await refused({ hours: 3 }, /:\n {2}--hours: not set → 3\nChoose/)
    const longer = tinyConfig({ train: { steps: 9, seed: 1 } })
    await refused(
      { config: longer },
      /:\n {2}train\.steps: 2 → 9\nContinue it so with --resume, or replace it/,
    )
  })
})
