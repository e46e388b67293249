import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import type { LookReport } from '../../../src/look/draw-look.ts'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { startHeld } from '../held.ts'
import { inProcess, tinyModel, workFolder } from '../sherd.ts'

let cwd = ''
beforeAll(async () => {
  cwd = await workFolder()
  await writeSampleData({ dir: join(cwd, 'photos'), count: 10, size: 24, seed: 3 })
})

const model = ['--model', 'random', '--preset', 'mae-tiny-cifar10', '--device', 'cpu', ...tinyModel()]
const look = (...args: string[]) => inProcess(['look', ...model, ...args], { cwd })

it('draws a folder, says what it saw, and finds its result again', async () => {
  const args = ['--images', 'photos', '--count', '2', '--out', 'seen', '--json']
  const done = await look(...args)
  expect([done.status, done.stderr]).toEqual([0, expect.not.stringMatching(/error|warning/)]) // where it takes long, it says how far it is
  const said = done.json()[0] as unknown as { kind: 'look' } & Omit<LookReport, 'whose'>
  const names = ['attention-1.png', 'attention-2.png', 'features.png', 'nearest.png', 'look.json']
  expect(said.files).toEqual(names.map((name) => join(cwd, 'seen', name)))
  expect(readdirSync(join(cwd, 'seen')).sort()).toEqual([...names, 'made.json'].sort())
  const facts = JSON.parse(readFileSync(join(cwd, 'seen/look.json'), 'utf8'))
  const [rows, columns] = said.grid
  expect(facts).toMatchObject({
    ...{ format: 'sherd-look/1', grid: { rows, columns }, features: { explained: said.explained } },
    patch: { row: rows / 2, column: columns / 2, chosen: 'central' },
  })
  const [first, second] = facts.images as {
    file: string
    heads: unknown[]
    nearest: { similarity: number }[]
  }[]
  expect([first!.file, first!.heads.length, first!.nearest.length]).toEqual([said.patch.file, said.heads, 5])
  const best = Math.max(...[first!, second!].map(({ nearest }) => nearest[0]!.similarity))
  expect(said.nearest!.similarity).toBe(best)

  const again = await look(...args)
  expect([again.status, again.stdout]).toEqual([0, done.stdout])
  expect(again.stderr).toContain('nothing to do')
  const other = await look(...args, '--block', '0')
  expect([other.status, other.stderr]).toEqual([2, expect.stringContaining('block: not set → 0')])
})

it('takes files in their order, by the option of other commands, too, and a patch of the first', async () => {
  const found = readdirSync(join(cwd, 'photos'), { recursive: true, encoding: 'utf8' })
  const [last, first] = found
    .filter((name) => name.endsWith('.jpg'))
    .sort()
    .reverse()
  const files = [last!, first!].map((name) => join('photos', name))
  const { status, json } = await look('--data', ...files, '--patch', '1,0', '--out', 'two', '--json')
  expect(status).toBe(0)
  expect(json()[0]).toMatchObject({ images: 2, patch: { file: last, row: 1, column: 0 } })
})

it('stops at Ctrl-C while it draws, leaves nothing, and draws all of it the next time', async () => {
  const args = ['look', ...model, '--images', 'photos', '--count', '2', '--out', 'drawn']
  const running = startHeld(args, cwd, { path: 'drawn.partial/result/drawn/attention-1.png' })
  await running.reached
  running.kill('SIGINT')
  running.letGo()
  const { status, stdout, stderr } = await running.ended
  expect([status, stdout]).toEqual([130, ''])
  expect(stderr).toMatch(/Stopped after [1-3] of 4 pictures\. Nothing is left behind\.\n$/)
  expect(readdirSync(cwd).filter((name) => name.startsWith('drawn'))).toEqual([])
  expect((await inProcess(args, { cwd })).status).toBe(0)
  expect(readdirSync(join(cwd, 'drawn')).filter((name) => name.endsWith('.png'))).toHaveLength(4)
})

it.each([
  [
    'a block that there is not',
    ['--images', 'photos', '--block', '99'],
    /--block 99: expected a whole number below \d+, the number of the blocks/,
  ],
  ['a patch outside', ['--images', 'photos', '--patch', '99,0'], /--patch 99,0: the grid has \d+ rows/],
  ['no patch', ['--images', 'photos', '--patch', '3'], /Expected row and column from 0/],
  ['files that are not there', ['--images', 'nowhere.jpg'], /nowhere\.jpg does not exist/],
  ['two folders', ['--images', 'photos', 'photos/coats'], /is a folder: give one folder alone/],
])('refuses %s, and leaves nothing', async (_, args, message) => {
  const { status, stdout, stderr } = await look(...args, '--out', 'never')
  expect([stdout, stderr]).toEqual(['', expect.stringMatching(message)])
  expect(status).not.toBe(0)
  expect(stderr).not.toMatch(/\n {4}at /)
  expect([existsSync(join(cwd, 'never')), existsSync(join(cwd, 'never.partial'))]).toEqual([false, false])
})
