import { afterEach, expect, it } from 'vitest'
import { clock, counting, endProgress, progressLine, showProgress } from '../../src/cli/progress.ts'
import { written } from './terminal.ts'

const { now } = clock
afterEach(() => {
  clock.now = now
  endProgress()
})

const parts = [
  '1 h 05 min left',
  '217 images/s',
  { text: 'step 420 of 1,000', short: '420/1,000' },
  { text: 'loss 0.4123', short: '0.4123' },
  'lr 1.5e-4',
]

it('a line of progress gets shorter with the terminal: the last parts go, then the others take short forms', () => {
  const at = (columns: number | null) => progressLine(parts, 0.42, columns)
  expect(at(null)).toBe('1 h 05 min left · 217 images/s · 42 % · step 420 of 1,000 · loss 0.4123 · lr 1.5e-4')
  expect(at(120)).toBe(
    '1 h 05 min left · 217 images/s · ████████░░░░░░░░░░░░ 42 % · step 420 of 1,000 · loss 0.4123 · lr 1.5e-4',
  )
  expect(at(100)).toBe(
    '1 h 05 min left · 217 images/s · ████████░░░░░░░░░░░░ 42 % · step 420 of 1,000 · loss 0.4123',
  )
  expect(at(80)).toBe('1 h 05 min left · 217 images/s · ████░░░░░░ 42 % · step 420 of 1,000 · 0.4123')
  expect(at(60)).toBe('1 h 05 min left · 217 images/s · ████░░░░░░ 42 %')
  expect(at(59)).toBe('1 h 05 min left · 217 images/s · 42 % · 420/1,000 · 0.4123')
  expect(at(40)).toBe('1 h 05 min left · 217 images/s · 42 %')
  expect(at(20)).toBe('1 h 05 min left')
})

it('without a terminal the first line is written and one every 30 s, and no escape code', async () => {
  let time = 0
  clock.now = () => time
  const { stderr } = await written({ columns: null }, () => {
    for (; time < 65_000; time += 1000) showProgress([`at ${time / 1000} s`], time / 100_000)
  })
  expect(stderr).toBe('at 0 s · 0 %\nat 30 s · 30 %\nat 60 s · 60 %\n')
})

it('on a terminal the line is replaced, and gone at the end; the rate is of the last ten seconds', async () => {
  let time = 0
  clock.now = () => time
  const { stderr } = await written({ columns: 60 }, () => {
    const show = counting('embedding', 'images')
    for (const [at, done] of [
      [0, 1000], // continued
      [10_000, 1010],
      [15_000, 1110],
      [20_000, 1210],
      [30_000, 1410],
    ] as const) {
      time = at
      show(done, 1410)
    }
  })
  expect(stderr.split('\r\u001b[K')).toEqual([
    '',
    'embedding: 1,000 of 1,410 images · ███████░░░ 70 %',
    '6 min 40 s left · 1.0 images/s · ███████░░░ 71 %',
    '41 s left · 7.3 images/s · ████████░░ 78 %',
    '10 s left · 20 images/s · █████████░ 85 %',
    'embedding: 1,410 images, 410 of them now, in 30 s (14\nimages/s)\n',
  ])
})
