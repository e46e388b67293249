import { describe, expect, it } from 'vitest'
import { latest } from '../../playground/src/latest.ts'
import { patchAt, patchesBetween } from '../../playground/src/stroke.ts'
import { begin, follow, redo, undo } from '../../playground/src/undo.ts'

const grid = { h: 4, w: 6 }

describe('a stroke', () => {
  it('finds the patch below a pointer, at the edge for one outside', () => {
    expect(patchAt(grid, 0, 0)).toBe(0)
    expect(patchAt(grid, 0.999, 0.999)).toBe(23)
    expect(patchAt(grid, 0.5, 0.26)).toBe(9)
    expect(patchAt(grid, -3, 1.5)).toBe(18)
    expect(patchAt(grid, 1, 0)).toBe(5)
  })

  it('has no gaps', () => {
    expect(patchesBetween(grid, 0, 3)).toEqual([0, 1, 2, 3])
    expect(patchesBetween(grid, 18, 0)).toEqual([18, 12, 6, 0])
    expect(patchesBetween(grid, 7, 7)).toEqual([7])
    for (let from = 0; from < 24; from++)
      for (let to = 0; to < 24; to++) {
        const line = patchesBetween(grid, from, to)
        expect([line[0], line.at(-1)]).toEqual([from, to])
        for (const [i, patch] of line.slice(1).entries()) {
          expect(Math.abs((patch % 6) - (line[i]! % 6))).toBeLessThanOrEqual(1)
          expect(Math.abs(Math.floor(patch / 6) - Math.floor(line[i]! / 6))).toBeLessThanOrEqual(1)
        }
        const steps = Math.max(
          Math.abs((from % 6) - (to % 6)),
          Math.abs(Math.floor(from / 6) - Math.floor(to / 6)),
        )
        expect(line.length).toBe(steps + 1)
      }
  })
})

describe('undo', () => {
  it('goes back and forth, and forgets what was undone when something new comes', () => {
    let history = follow(follow(begin('a'), 'b'), 'c')
    history = undo(undo(history))
    expect([history.now, history.future]).toEqual(['a', ['b', 'c']])
    expect(undo(history)).toBe(history)
    history = redo(history)
    expect(history.now).toBe('b')
    history = follow(history, 'd')
    expect(redo(history)).toBe(history)
    expect(undo(history).now).toBe('b')
  })

  it('does not count what changes nothing', () => {
    const settings = {}
    expect(follow(begin(settings), settings).past).toEqual([])
  })

  it('keeps the last two hundred steps', () => {
    let history = begin(0)
    for (let i = 1; i <= 300; i++) history = follow(history, i)
    expect([history.past.length, history.past[0]]).toEqual([200, 100])
  })
})

it('work that comes faster than it is done is left out, but never the last', async () => {
  const done: number[] = []
  let release = () => {}
  const run = latest<number>(async (what) => {
    await new Promise<void>((resolve) => {
      release = resolve
    })
    done.push(what)
  })
  for (const what of [1, 2, 3, 4]) run(what)
  release()
  await new Promise(setImmediate)
  run(5)
  release()
  await new Promise(setImmediate)
  release()
  await new Promise(setImmediate)
  expect(done).toEqual([1, 4, 5])
})
