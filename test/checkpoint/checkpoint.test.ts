import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  damageOf,
  listCheckpoints,
  loadCheckpoint,
  loadWeights,
  saveCheckpoint,
} from '../../src/checkpoint/checkpoint.ts'
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { initialParameters, type ParameterRow } from '../../src/model/parameters.ts'
import { adamw } from '../../src/optim/adamw.ts'
import { initialState } from '../../src/optim/optimizer.ts'
import { backward, gradient } from '../../src/tensor/context.ts'
import { square, sum, toDtype } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { take } from '../optim/stepping.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'
import { numbers, product, wave } from '../tolerance.ts'

const rows: ParameterRow[] = [
  { name: 'blocks.0.weight', shape: [3, 5], initial: 'xavier' },
  { name: 'cls_token', shape: [1, 1, 4], initial: 'token' },
  { name: 'norm.bias', shape: [5], initial: 'zeros' },
]

/** A training that has taken three steps, so that nothing in it is zero. */
function training(step = 3) {
  const parameters = initialParameters(rows, { seed: 1, device: 'cpu' })
  const rule = adamw({ beta1: 0.9, beta2: 0.95, epsilon: 1e-8 })
  const optimizer = initialState(rule, parameters)
  scope(() => {
    for (let i = 0; i < 3; i++) {
      const gradients = rows.map(({ shape }, j) => tensor(wave(product(shape), 10 * i + j), shape))
      take(rule, parameters, gradients, optimizer, { weightDecay: 0.05, learningRate: 0.1 })
    }
  })
  return { parameters, optimizer, step, samples: step * 128 }
}
const values = (tensors: ReadonlyMap<string, Parameters<typeof numbers>[0]>) =>
  [...tensors].map(([name, x]) => [name, numbers(x)])

describe('saveCheckpoint and loadCheckpoint', () => {
  it('bring back every bit of weights and optimizer, and the counts', () => {
    const dir = join(temporaryFolder(), 'not/there/yet')
    const before = training()
    const path = saveCheckpoint(dir, before, { keep: 3 })
    expect(path).toBe(join(dir, 'step-00000003'))
    const live = liveTensors()
    const after = scope(() => {
      const loaded = loadCheckpoint(path, rows, 'cpu')
      return () => loaded // it must not need the scope
    })()
    expect(liveTensors() - live).toBe(3 * rows.length)
    expect(values(after.parameters)).toEqual(values(before.parameters))
    for (const slot of ['exp_avg', 'exp_avg_sq'])
      expect(values(after.optimizer.slots[slot]!)).toEqual(values(before.optimizer.slots[slot]!))
    expect([after.step, after.samples]).toEqual([3, 384])
    expect([...after.optimizer.steps]).toEqual(rows.map(({ name }) => [name, 3]))
    expect(numbers(after.optimizer.slots.exp_avg_sq!.get('norm.bias')!)).not.toContain(0)
  })

  it('bring back the counts of parameters that took fewer steps; equal ones are one number, as in older files', () => {
    const metadataOf = (path: string) =>
      scope(() => readSafetensors(join(path, 'optimizer.safetensors')).metadata)
    const before = training()
    const dir = temporaryFolder()
    expect(metadataOf(saveCheckpoint(dir, before, { keep: 2 }))).toEqual({ step: '3' })
    before.optimizer.steps.set('cls_token', 1)
    const path = saveCheckpoint(dir, { ...before, step: 4 }, { keep: 2 })
    const counts = { 'blocks.0.weight': 3, cls_token: 1, 'norm.bias': 3 }
    const { steps, ...others } = metadataOf(path)
    expect([JSON.parse(steps!), others]).toEqual([counts, {}])
    expect(Object.fromEntries(loadCheckpoint(path, rows, 'cpu').optimizer.steps)).toEqual(counts)
  })

  it('bring back weights that can be trained on', () => {
    const path = saveCheckpoint(temporaryFolder(), training(), { keep: 1 })
    const { parameters } = loadCheckpoint(path, rows, 'cpu')
    scope(() => {
      const x = parameters.get('norm.bias')!
      backward(sum(square(x)))
      expect(numbers(gradient(x)!)).toEqual(numbers(x).map((v) => 2 * v))
    })
  })

  it('hold three files that say what they are', () => {
    const path = saveCheckpoint(temporaryFolder(), training(7), { keep: 1 })
    expect(readdirSync(path).sort()).toEqual(['model.safetensors', 'optimizer.safetensors', 'state.json'])
    const sealed = (name: string) => {
      const bytes = readFileSync(join(path, name))
      return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
    }
    expect(JSON.parse(readFileSync(join(path, 'state.json'), 'utf8'))).toEqual({
      format: 'sherd-checkpoint/2',
      ...{ step: 7, samples: 896, skippedSteps: 0, rollbacks: 0 },
      files: Object.fromEntries(
        ['model.safetensors', 'optimizer.safetensors'].map((name) => [name, sealed(name)]),
      ),
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    })
    scope(() => {
      const model = readSafetensors(join(path, 'model.safetensors'))
      const optimizer = readSafetensors(join(path, 'optimizer.safetensors'))
      expect(model.metadata).toEqual({ format: 'pt', step: '7' })
      expect([...model.tensors.keys()]).toEqual(rows.map(({ name }) => name))
      expect([...optimizer.tensors.keys()]).toEqual([
        ...rows.map(({ name }) => `exp_avg.${name}`),
        ...rows.map(({ name }) => `exp_avg_sq.${name}`),
      ])
    })
  })

  it('keep the latest, by number and not by name', () => {
    const dir = temporaryFolder()
    const { parameters, optimizer } = training()
    for (const step of [1, 2, 10, 99_999_999, 100_000_000])
      saveCheckpoint(dir, { parameters, optimizer, step, samples: 0 }, { keep: 3 })
    expect(listCheckpoints(dir)).toEqual(
      [10, 99_999_999, 100_000_000].map((step) => ({
        step,
        path: join(dir, `step-${String(step).padStart(8, '0')}`),
      })),
    )
  })

  it('count only those that were due, and keep the newest whenever it was saved', () => {
    const dir = temporaryFolder()
    const { parameters, optimizer } = training()
    const steps = () => listCheckpoints(dir).map(({ step }) => step)
    const save = (step: number) =>
      saveCheckpoint(dir, { parameters, optimizer, step, samples: 0 }, { keep: 2, everySteps: 10 })
    for (const step of [10, 20, 23]) save(step)
    expect(steps()).toEqual([10, 20, 23])
    save(24)
    expect(steps()).toEqual([10, 20, 24])
    save(30)
    expect(steps()).toEqual([20, 30])
  })

  it('replace a checkpoint of the same step', () => {
    const dir = temporaryFolder()
    const { parameters, optimizer } = training()
    saveCheckpoint(dir, { parameters, optimizer, step: 5, samples: 1 }, { keep: 2 })
    const path = saveCheckpoint(dir, { parameters, optimizer, step: 5, samples: 2 }, { keep: 2 })
    expect(loadCheckpoint(path, rows, 'cpu').samples).toBe(2)
    expect(readdirSync(dir)).toEqual(['step-00000005'])
  })
})

describe('a write that was interrupted', () => {
  const interrupted = () => {
    const dir = temporaryFolder()
    saveCheckpoint(dir, training(1), { keep: 2 })
    const left = join(dir, '.writing-step-00000002')
    mkdirSync(left)
    writeFileSync(join(left, 'model.safetensors'), 'half')
    return { dir, left }
  }

  it('is not among the checkpoints', () => {
    const { dir } = interrupted()
    expect(listCheckpoints(dir).map(({ step }) => step)).toEqual([1])
  })

  it.each([2, 3])('is cleaned away by the next checkpoint, of step %d', (step) => {
    const { dir, left } = interrupted()
    saveCheckpoint(dir, training(step), { keep: 2 })
    expect(existsSync(left)).toBe(false)
    expect(readdirSync(dir).sort()).toEqual(['step-00000001', `step-0000000${step}`])
    expect(loadCheckpoint(listCheckpoints(dir)[1]!.path, rows, 'cpu').step).toBe(step)
  })

  it('leaves the old checkpoint of the step whole', () => {
    const dir = temporaryFolder()
    const path = saveCheckpoint(dir, training(4), { keep: 2 })
    const freed = tensor([1], [1])
    freed.dispose()
    const broken = { ...training(4), parameters: new Map([['norm.bias', freed]]) }
    expect(() => saveCheckpoint(dir, broken, { keep: 2 })).toThrow('already freed')
    expect(loadCheckpoint(path, rows, 'cpu').step).toBe(4)
    expect(listCheckpoints(dir).map(({ step }) => step)).toEqual([4])
  })
})

describe('listCheckpoints', () => {
  it('knows nothing of other files, and of folders that are not there', () => {
    const dir = temporaryFolder({
      'step-00000001/state.json': '',
      'step-1/x': '',
      'step-00000002.old/x': '',
      note: '',
    })
    expect(listCheckpoints(dir).map(({ step }) => step)).toEqual([1])
    expect(listCheckpoints(join(dir, 'none'))).toEqual([])
  })
})

describe('a checkpoint that does not fit is a CHECKPOINT error', () => {
  const saved = () => saveCheckpoint(temporaryFolder(), training(), { keep: 1 })
  const change = (path: string, over: object) => {
    const file = join(path, 'state.json')
    writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), ...over }))
  }
  const state = (path: string, text: string) => writeFileSync(join(path, 'state.json'), text)
  const rewrite = (path: string, alter: (tensors: Map<string, ReturnType<typeof tensor>>) => void) =>
    scope(() => {
      const file = join(path, 'optimizer.safetensors')
      const { tensors, metadata } = readSafetensors(file)
      alter(tensors)
      writeSafetensors(file, tensors, metadata)
    })
  const recount = (path: string, metadata: Record<string, string>) =>
    scope(() => {
      const file = join(path, 'optimizer.safetensors')
      writeSafetensors(file, readSafetensors(file).tensors, metadata)
    })
  const name = 'exp_avg_sq.norm.bias'

  it.each<[string, RegExp, (path: string) => void]>([
    [
      'of no format',
      /not a checkpoint of this version of sherd: .*sherd-checkpoint\/2/s,
      (path) => change(path, { format: 'something else' }),
    ],
    [
      'without a step',
      /not a checkpoint of this version.*step/s,
      (path) => change(path, { step: undefined }),
    ],
    ['with half a step', /not a checkpoint of this version.*step/s, (path) => change(path, { step: 0.5 })],
    [
      'with a negative count',
      /not a checkpoint of this version.*samples/s,
      (path) => change(path, { samples: -1 }),
    ],
    [
      'with more than it knows',
      /not a checkpoint of this version.*more/s,
      (path) => change(path, { more: 1 }),
    ],
    [
      'with another count than was written',
      /state.json holds other values than were written/,
      (path) => change(path, { samples: 385 }),
    ],
    ['whose state is no JSON', /not a checkpoint of this version/, (path) => state(path, '{')],
    [
      'without a state',
      /not a checkpoint of this version.*ENOENT/,
      (path) => rmSync(join(path, 'state.json')),
    ],
    ['without weights', /Cannot open .*model.safetensors/, (path) => rmSync(join(path, 'model.safetensors'))],
    [
      'with broken weights',
      /model.safetensors cannot be read/,
      (path) => writeFileSync(join(path, 'model.safetensors'), 'x'),
    ],
    [
      'without a moment',
      /exp_avg_sq of "norm.bias" is missing, expected float32\[5\]/,
      (path) => rewrite(path, (all) => all.delete(name)),
    ],
    [
      'with a moment of another shape',
      /exp_avg_sq of "norm.bias" is float32\[1, 5\], expected float32\[5\]/,
      (path) => rewrite(path, (all) => all.set(name, tensor(wave(5), [1, 5]))),
    ],
    [
      'with a moment of another type',
      /exp_avg_sq of "norm.bias" is float64\[5\], expected float32\[5\]/,
      (path) => rewrite(path, (all) => all.set(name, toDtype(tensor(wave(5), [5]), 'float64'))),
    ],
    [
      'without a count of steps',
      /optimizer.safetensors does not say how many steps were taken$/,
      (path) => recount(path, {}),
    ],
    [
      'with a negative count of steps',
      /optimizer.safetensors does not say how many steps were taken$/,
      (path) => recount(path, { step: '-1' }),
    ],
    [
      'with half a step of a parameter',
      /does not say how many steps were taken: its "steps" are not counts by name/,
      (path) => recount(path, { steps: '{"norm.bias": 0.5}' }),
    ],
    [
      'with a parameter that has no count',
      /does not say how many steps were taken with "cls_token"$/,
      (path) => recount(path, { steps: '{"norm.bias": 3, "blocks.0.weight": 2}' }),
    ],
  ])('%s', (_, pattern, damage) => {
    const path = saved()
    damage(path)
    expect(() => loadCheckpoint(path, rows, 'cpu', ['exp_avg', 'exp_avg_sq'])).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT', message: expect.stringMatching(pattern) }),
    )
  })

  it('but one of another version, or that may not be read, is refused, and not damaged', () => {
    const old = saved()
    change(old, { format: 'sherd-checkpoint/1' })
    for (const look of [() => damageOf(old), () => loadCheckpoint(old, rows, 'cpu')])
      expect(look).toThrow(
        expect.objectContaining({
          code: 'RUN',
          message: expect.stringMatching(/is of the format sherd-checkpoint\/1; this version of sherd reads/),
        }),
      )
  })

  it('of another optimizer', () =>
    expect(() => loadCheckpoint(saved(), rows, 'cpu', ['momentum_buffer'])).toThrow(
      expect.objectContaining({
        code: 'CHECKPOINT',
        message: expect.stringMatching(
          /optimizer.safetensors was written by another optimizer: it holds exp_avg, exp_avg_sq, expected momentum_buffer\. Continue with the optimizer that wrote it/,
        ),
      }),
    ))

  it('of another model', () =>
    expect(() => loadCheckpoint(saved(), rows.slice(1), 'cpu')).toThrow('unexpected (1): blocks.0.weight'))
})

it('loadWeights needs the weights alone', () => {
  const before = training()
  const path = saveCheckpoint(temporaryFolder(), before, { keep: 1 })
  rmSync(join(path, 'optimizer.safetensors'))
  rmSync(join(path, 'state.json'))
  expect(values(loadWeights(path, rows, 'cpu'))).toEqual(values(before.parameters))
})
