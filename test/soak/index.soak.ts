// An index of 20,000 images (IMAGES): its memory stays. A small one is killed behind every call that changes a file, the first time and when it is
// brought up to date.
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeSampleData } from '../../src/sample-data/write-scenes.ts'
import { startHeld } from '../cli/held.ts'
import { inProcess, readLines, sherd, tiny, tinyModel, workFolder } from '../cli/sherd.ts'

const count = Number(process.env.IMAGES ?? 20_000)

let dir = ''
const here = (args: readonly string[]) => inProcess(args, { cwd: dir })
beforeAll(async () => {
  dir = await workFolder()
  await writeSampleData({ dir: join(dir, 'photos'), count: 200, size: 24, seed: 1 })
  const model = ['--model', 'random', '--preset', 'mae-demo', ...tinyModel()]
  expect((await here(['export', 'onnx', ...model, '--out', 'exported'])).status).toBe(0)
  const run = ['pretrain', 'mae-demo', '--data', 'photos', '--out', 'run', '--steps', '1', ...tiny()]
  expect((await here(run)).status).toBe(0)
})

/** Writes the resident bytes of the process behind every batch. */
const watched = (path: string) => `
  import fs from 'node:fs'
  import { syncBuiltinESMExports } from 'node:module'
  import { isMainThread } from 'node:worker_threads'
  const real = fs.writeSync
  if (isMainThread) {
    fs.writeSync = (...args) => {
      const written = real(...args)
      fs.appendFileSync(${JSON.stringify(path)}, process.memoryUsage.rss() + '\\n')
      return written
    }
    syncBuiltinESMExports()
  }`

describe.each([
  ['an exported graph', 'exported/encoder.onnx'],
  ['a run', 'run'],
])('by %s', (name, model) => {
  it('the second half of the images takes no more memory', { timeout: 3_600_000 }, async () => {
    const photos = join(dir, 'many')
    const files = readdirSync(join(dir, 'photos'), { recursive: true, encoding: 'utf8' }).filter((file) =>
      /\.(jpg|png)$/.test(file),
    )
    for (let i = 0; i < count; i++) {
      const folder = join(photos, String(i % 50))
      if (i < 50) mkdirSync(folder, { recursive: true })
      copyFileSync(
        join(dir, 'photos', files[i % files.length]!),
        join(folder, `${i}${files[i % files.length]!.slice(-4)}`),
      )
    }
    const log = join(dir, 'resident')
    rmSync(log, { force: true })
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(watched(log))}` }
    const args = ['index', 'many', '--model', model, '--out', `of-${model.split('/')[0]}`, '--json']
    const { status, stderr, json } = await sherd(args, { cwd: dir, env })
    expect([status, stderr]).toEqual([0, expect.not.stringContaining('error')])
    expect(json()[0]).toMatchObject({ images: count, skipped: 0 })
    const resident = readLines(log).map((line) => Number(line) / 1e6)
    expect(resident.length).toBeGreaterThan(100)
    /** The median of a twentieth of the batches, which ends at that share of them. */
    const at = (share: number) => {
      const end = Math.floor(share * resident.length)
      const part = resident.slice(end - Math.floor(resident.length / 20), end).sort((a, b) => a - b)
      return part[part.length >> 1]!
    }
    const [early, middle, late] = [at(0.1), at(0.5), at(1)]
    console.log(
      `${name}: ${early.toFixed(1)}, ${middle.toFixed(1)}, ${late.toFixed(1)} MB resident after a tenth, a half and all of ${count} images in ${resident.length} batches`,
    )
    expect(late - middle).toBeLessThan(15) // MB; vectors and names of 10,000 images are 2 of them
  })
})

const contentOf = (out: string) =>
  readdirSync(out)
    .sort()
    .map((name) => [name, readFileSync(join(out, name), 'latin1')])

it.each([
  ['a first index', ['index', 'small', '--model', 'exported/encoder.onnx', '--approximate']],
  ['an index that is brought up to date', ['index', '--update']],
])('%s is killed behind every call that changes a file', { timeout: 3_600_000 }, async (name, args) => {
  const isFirst = name.startsWith('a first')
  if (isFirst) {
    mkdirSync(join(dir, 'small'))
    await writeSampleData({ dir: join(dir, 'small'), count: 150, size: 16, seed: 2 })
  } else {
    const files = readdirSync(join(dir, 'small'), { recursive: true, encoding: 'utf8' })
    for (const file of files.filter((each) => /\.(jpg|png)$/.test(each)).slice(0, 100))
      utimesSync(join(dir, 'small', file), 9, 9)
  }
  const to = (out: string) => [...args, '--out', join(out, 'index')]
  const begin = (out: string) =>
    isFirst ? mkdirSync(join(dir, out)) : cpSync(join(dir, 'first'), join(dir, out), { recursive: true })
  const whole = isFirst ? 'first' : 'second'
  begin(whole)
  expect((await sherd(to(whole), { cwd: dir })).status).toBe(0)
  let calls = 0
  for (; ; calls++) {
    begin('killed')
    const running = startHeld(to('killed'), dir, { calls })
    const isHeld = await running.reached.then(
      () => true,
      () => false,
    )
    if (!isHeld) break
    running.kill('SIGKILL')
    expect((await running.ended).status).toBe('SIGKILL')
    const again = await sherd(to('killed'), { cwd: dir })
    expect([calls, again.status, again.stderr]).toEqual([calls, 0, expect.not.stringContaining('error')])
    expect([calls, contentOf(join(dir, 'killed/index'))]).toEqual([
      calls,
      contentOf(join(dir, whole, 'index')),
    ])
    expect([calls, readdirSync(join(dir, 'killed'))]).toEqual([calls, ['index']])
    rmSync(join(dir, 'killed'), { recursive: true })
  }
  console.log(`${name}: ${calls} kills`)
  expect(calls).toBeGreaterThan(20)
})
