// Ctrl-C to commands that judge and use models: a real signal to a real process, and the same command again.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, expect, it } from 'vitest'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { writeMaskedSet } from '../../prepare/masks/make-masked.ts'
import { startHeld } from '../held.ts'
import { inProcess, set, tinyModel, workFolder } from '../sherd.ts'

const random = [
  ...['--model', 'random', '--preset', 'mae-demo', ...tinyModel()],
  ...set({ 'data.statistics': 'imagenet' }),
]

let cwd: string
beforeAll(async () => {
  cwd = await workFolder()
  await writeMaskedSet({ dir: join(cwd, 'masked'), count: 24, width: 20, height: 16, seed: 1 })
  mkdirSync(join(cwd, 'large'))
  for (let i = 0; i < 8; i++)
    await sharp({ create: { width: 800, height: 640, channels: 3, background: { r: 30 * i, g: 90, b: 60 } } })
      .jpeg()
      .toFile(join(cwd, `large/${i}.jpg`))
})

/** Every file of a result, without what tells the time. */
const filesOf = (dir: string) =>
  readdirSync(join(cwd, dir), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'made.json')
    .map(({ parentPath, name }) => [
      name,
      readFileSync(join(parentPath, name), 'latin1').replace(/"seconds": [\d.]+|- time: \d+ s/, ''),
    ])
    .sort()

const expectSameFile = (a: string, b: string) =>
  expect(readFileSync(join(cwd, a)).equals(readFileSync(join(cwd, b)))).toBe(true)

/** Stops a command with `--out NAME` as soon as a file of its draft holds something, and runs it again, beside one that is not stopped. */
async function stopped(name: string, args: (name: string) => readonly string[], kept: string) {
  const command = (out: string) => [...args(out), '--out', out]
  const running = startHeld(command(name), cwd, { path: `${name}.partial/${kept}` })
  await running.reached
  running.kill('SIGINT')
  running.letGo()
  const { status, stdout, stderr } = await running.ended
  expect([status, stdout, existsSync(join(cwd, name))]).toEqual([130, '', false])
  expect(stderr).toMatch(/^SIGINT: stopping after this batch; what is done is kept \(again to quit/m)
  const again = await inProcess(command(name), { cwd })
  const whole = await inProcess(command(`${name}-whole`), { cwd })
  expect([again.status, whole.status]).toEqual([0, 0])
  expect(filesOf(name)).toEqual(filesOf(`${name}-whole`))
  expect(existsSync(join(cwd, `${name}.partial`))).toBe(false)
  return { stderr, again }
}

it('evaluate linear: keeps what is learned, and continues to the same report and classifier', async () => {
  await writeSampleData({ dir: join(cwd, 'labelled'), count: 40, size: 20, seed: 1 })
  const learn = (name: string) => [
    ...['evaluate', 'linear', ...random, '--data', 'labelled', '--rates', '1', '--seeds', '2'],
    ...['--epochs', '400', '--save', `${name}.safetensors`],
  ]
  const { stderr, again } = await stopped('probe', learn, 'work/linear')
  expect(stderr).toMatch(/^Stopped after 1 of 6 fits of linear; the same command continues\.$/m)
  expect(again.stderr).toMatch(/^continuing what was begun in .*probe\.partial$/m)
  expectSameFile('probe.safetensors', 'probe-whole.safetensors')
  rmSync(join(cwd, 'probe.safetensors'))
  const lost = await inProcess([...learn('probe'), '--out', 'probe'], { cwd })
  expect([lost.status, lost.stderr]).toEqual([
    2,
    expect.stringMatching(/probe is there already, but .*probe\.safetensors, .* is not: .*--overwrite/),
  ])
})

it('evaluate segment, and segment with what it saved: what is done is kept, and continued to the same bytes', async () => {
  const learn = (name: string) => [
    ...['evaluate', 'segment', ...random, '--data', 'masked', '--heads', 'linear', '--seeds', '3'],
    ...['--epochs', '60', '--save', `${name}.safetensors`],
  ]
  const { stderr, again } = await stopped('heads', learn, 'work/heads')
  expect(stderr).toMatch(/^Stopped after 1 of 3 heads; the same command continues\.$/m)
  expect(again.stderr).toMatch(/^continuing what was begun in .*heads\.partial$/m)
  const [saved, whole] = ['heads', 'heads-whole'].map((name) =>
    readFileSync(join(cwd, `${name}.safetensors`)),
  )
  expect(saved).toEqual(whole)

  const draw = () => ['segment', 'large', '--model', 'heads.safetensors']
  const drawn = await stopped('drawn', draw, 'work/masks')
  expect(drawn.stderr).toMatch(/^Stopped after [1-7] of 8 images; the same command continues\.$/m)
  expect(readdirSync(join(cwd, 'drawn/masks'))).toHaveLength(8)
})
