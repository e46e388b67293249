// A layer of file operations that fail: what is on the disk after the k-th operation of a save failed, or was the last one that a
// process made, for every k.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import {
  latestWhole,
  listCheckpoints,
  loadCheckpoint,
  saveCheckpoint,
} from '../../src/checkpoint/checkpoint.ts'
import { setAside, tidy } from '../../src/checkpoint/retention.ts'
import { SherdError } from '../../src/errors.ts'
import { initialParameters, type ParameterRow } from '../../src/model/parameters.ts'
import { initialState } from '../../src/optim/optimizer.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'
import { numbers } from '../tolerance.ts'

const layer = vi.hoisted(() => ({
  /** Operations since it was armed. */
  count: 0,
  /** The operation that fails, and what follows: nothing more, or everything as it is. */
  fails: null as { at: number; how: 'error' | 'crash' } | null,
}))

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  class Crash extends Error {}
  const faulty =
    <A extends unknown[], R>(operation: (...args: A) => R, half?: (...args: A) => void) =>
    (...args: A): R => {
      layer.count++
      const { fails } = layer
      if (fails && layer.count >= fails.at) {
        if (fails.how === 'crash') {
          if (layer.count === fails.at) half?.(...args)
          throw new Crash('the process is no more')
        }
        if (layer.count === fails.at) {
          half?.(...args)
          throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
        }
      }
      return operation(...args)
    }
  const halfWrite = (fd: number, bytes: Uint8Array, offset: number, length: number) => {
    fs.writeSync(fd, bytes, offset, Math.floor(length / 2))
  }
  const faults = {
    mkdirSync: faulty(fs.mkdirSync as (...args: unknown[]) => unknown),
    renameSync: faulty(fs.renameSync),
    rmSync: faulty(fs.rmSync),
    fsyncSync: faulty(fs.fsyncSync),
    writeSync: faulty(
      fs.writeSync as (...args: unknown[]) => unknown,
      halfWrite as (...args: unknown[]) => void,
    ),
    writeFileSync: faulty(
      fs.writeFileSync as (...args: unknown[]) => unknown,
      ((path: string) => {
        fs.writeFileSync(path, '{')
      }) as (...args: unknown[]) => void,
    ),
    openSync: faulty(fs.openSync as (...args: unknown[]) => unknown),
  }
  return { ...fs, ...faults, default: { ...fs, ...faults } }
})

const rows: ParameterRow[] = [
  { name: 'blocks.0.weight', shape: [3, 5], initial: 'xavier' },
  { name: 'norm.bias', shape: [5], initial: 'ones' },
]

function training(step: number, seed = step) {
  const parameters = initialParameters(rows, { seed, device: 'cpu' })
  return {
    parameters,
    optimizer: initialState({ slots: ['exp_avg', 'exp_avg_sq'] }, parameters),
    step,
    samples: 8 * step,
  }
}

/** Runs `body` with the k-th operation failing. Returns what it threw and whether that operation was reached. */
function failing(fails: NonNullable<typeof layer.fails>, body: () => void) {
  Object.assign(layer, { count: 0, fails })
  let error: unknown
  try {
    body()
  } catch (thrown) {
    error = thrown
  }
  const isReached = layer.count >= fails.at
  Object.assign(layer, { count: 0, fails: null })
  return { error, isReached }
}

beforeEach(() => {
  Object.assign(layer, { count: 0, fails: null })
})

/** Two checkpoints, as a run has them before it saves its third. */
function twoCheckpoints(keep: number) {
  const dir = join(temporaryFolder(), 'checkpoints')
  for (const step of [1, 2]) saveCheckpoint(dir, training(step), { keep })
  return dir
}

const weightsAt = (path: string) =>
  numbers(loadCheckpoint(path, rows, 'cpu').parameters.get('blocks.0.weight')!)
const weightsOf = (step: number, seed = step) =>
  numbers(training(step, seed).parameters.get('blocks.0.weight')!)

const cases = [
  ['a new step', 3, 3],
  ['a step that was saved before', 2, 9],
] as const

describe.each(cases)('%s', (_, step, seed) => {
  it.each([1, 2])(
    'keeping %i: every operation that fails leaves a whole checkpoint and a clear message',
    (keep) => {
      let failures = 0
      for (let at = 1; ; at++) {
        const dir = twoCheckpoints(keep)
        const { error, isReached } = failing({ at, how: 'error' }, () =>
          saveCheckpoint(dir, training(step, seed), { keep }),
        )
        if (!isReached) break
        if (error) {
          failures++
          expect(error).toBeInstanceOf(SherdError)
          expect((error as Error).message).toMatch(
            /^Cannot write the checkpoint .*: the disk is full: .* free\. Make room, then continue with --resume\. The latest one is whole: /,
          )
        }
        tidy(dir)
        const { checkpoint, damaged } = latestWhole(dir)
        expect(damaged).toEqual([])
        expect(checkpoint).not.toBeNull()
        const isNew = weightsAt(checkpoint!.path).join() === weightsOf(step, seed).join()
        if (!isNew) expect(weightsAt(checkpoint!.path)).toEqual(weightsOf(2))
        // And the next save works as if nothing had been.
        const path = saveCheckpoint(dir, training(7), { keep })
        expect(weightsAt(path)).toEqual(weightsOf(7))
        expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([])
      }
      expect(failures).toBeGreaterThan(8)
    },
  )

  it.each([1, 2])('keeping %i: a process that ends after any operation leaves a whole checkpoint', (keep) => {
    let isNewest = 0
    let at = 1
    for (; ; at++) {
      const dir = twoCheckpoints(keep)
      const { isReached } = failing({ at, how: 'crash' }, () =>
        saveCheckpoint(dir, training(step, seed), { keep }),
      )
      if (!isReached) break
      tidy(dir) // as a run that continues does first
      const { checkpoint, damaged } = latestWhole(dir)
      expect(damaged).toEqual([])
      const weights = weightsAt(checkpoint!.path)
      if (weights.join() === weightsOf(step, seed).join()) isNewest++
      else expect(weights).toEqual(weightsOf(2))
      expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([])
    }
    expect(at).toBeGreaterThan(10)
    expect(isNewest).toBeGreaterThan(0) // those after the rename
  })
})

describe('a checkpoint that was damaged after it was written', () => {
  const damages: [string, (path: string) => void, RegExp][] = [
    [
      'a bit of the weights',
      (path) => flip(join(path, 'model.safetensors'), -2),
      /model.safetensors holds other bytes/,
    ],
    [
      'a bit of the moments',
      (path) => flip(join(path, 'optimizer.safetensors'), -2),
      /optimizer.safetensors holds other bytes/,
    ],
    [
      'a count',
      (path) => replace(join(path, 'state.json'), '"samples": 24', '"samples": 32'),
      /state.json holds other values/,
    ],
    [
      'half a file',
      (path) => cut(join(path, 'model.safetensors')),
      /model.safetensors has \d+ bytes, expected \d+/,
    ],
    ['no weights', (path) => rmSync(join(path, 'model.safetensors')), /model.safetensors is missing/],
    ['no state', (path) => rmSync(join(path, 'state.json')), /not a checkpoint of this version.*ENOENT/s],
    [
      'an empty state',
      (path) => writeFileSync(join(path, 'state.json'), ''),
      /not a checkpoint of this version/,
    ],
  ]
  const flip = (path: string, at: number) => {
    const bytes = readFileSync(path)
    bytes[bytes.length + at]! ^= 4
    writeFileSync(path, bytes)
  }
  const cut = (path: string) => writeFileSync(path, readFileSync(path).subarray(0, -9))
  const replace = (path: string, from: string, to: string) => {
    const text = readFileSync(path, 'utf8')
    expect(text).toContain(from)
    writeFileSync(path, text.replace(from, to))
  }

  it.each(damages)('%s: is named, and the one before is taken', (_, damage, reason) => {
    const dir = twoCheckpoints(3)
    const path = saveCheckpoint(dir, training(3), { keep: 3 })
    damage(path)
    const { checkpoint, damaged } = latestWhole(dir)
    expect(checkpoint?.step).toBe(2)
    expect(damaged).toMatchObject([{ path, reason: expect.stringMatching(reason) as string }])
    expect(setAside(path)).toBe(join(dir, 'damaged-step-00000003'))
    expect(listCheckpoints(dir).map(({ step }) => step)).toEqual([1, 2])
    mkdirSync(path)
    expect(setAside(path)).toBe(join(dir, 'damaged-step-00000003-2'))
    expect(existsSync(path)).toBe(false)
  })
})

it('keeps the latest and every so many steps', () => {
  const dir = join(temporaryFolder(), 'checkpoints')
  for (let step = 5; step <= 60; step += 5)
    saveCheckpoint(dir, training(step), { keep: 2, keepEverySteps: 20 })
  expect(listCheckpoints(dir).map(({ step }) => step)).toEqual([20, 40, 55, 60])
})
