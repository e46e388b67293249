// Every optimizer of the table: PyTorch's numbers under group rows, absent gradients and clipping; what all of them promise.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadCheckpoint, saveCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import type { ParameterRow } from '../../src/model/parameters.ts'
import type { Clip } from '../../src/optim/gradients.ts'
import type { GroupRow } from '../../src/optim/groups.ts'
import {
  copyState,
  disposeState,
  initialState,
  type OptimizerState,
  type StepKernel,
  updatesTaken,
} from '../../src/optim/optimizer.ts'
import { type OptimizerName, optimizerOf, optimizers } from '../../src/optim/optimizers.ts'
import { update } from '../../src/optim/update.ts'
import { engineBuild } from '../../src/tensor/context.ts'
import { toDevice } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { type Device, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'
import { expectClose, numbers } from '../tolerance.ts'
import { take } from './stepping.ts'

type Lists = Record<string, number[]>
interface Reference {
  readonly shapes: Lists
  readonly rates: number[]
  readonly weightDecay: number
  readonly largestNorm: number
  readonly options: Record<'beta1' | 'beta2' | 'epsilon' | 'momentum' | 'trustCoefficient', number>
  readonly start: Lists
  readonly gradients: Record<string, number[] | null>[]
  readonly cases: {
    readonly optimizer: OptimizerName
    readonly clip: 'none' | Clip['by']
    readonly norms: number[]
    readonly final: Lists
    readonly slots: Record<string, Lists>
  }[]
}
const reference = JSON.parse(
  readFileSync(join(import.meta.dirname, 'optimizers-reference.json'), 'utf8'),
) as Reference

const { shapes, rates, weightDecay, options, largestNorm: most } = reference
const names = Object.keys(optimizers) as OptimizerName[]
const make = (optimizer: OptimizerName) => optimizerOf({ optimizer, ...options })
const made = (values: Lists, device: Device = 'cpu') =>
  new Map(Object.entries(values).map(([name, list]) => [name, toDevice(tensor(list, shapes[name]!), device)]))
const values = (tensors: ReadonlyMap<string, Tensor>) =>
  Object.fromEntries([...tensors].map(([name, x]) => [name, numbers(toDevice(x, 'cpu'))]))
const gradientsAt = (step: number, device?: Device) => {
  const { late, ...others } = reference.gradients[step]!
  return made((late ? { ...others, late } : others) as Lists, device)
}

const groups: GroupRow[] = [
  { match: /^slow$/, rate: 0.25, decay: 0.5 },
  { match: (name) => name === 'off', frozenUntil: 2, frozen: 'zero-rate' },
]
const clipRows: Record<string, GroupRow[]> = {
  all: [{ match: /./, clip: { by: 'all', most } }],
  tensor: [{ match: /./, clip: { by: 'tensor', most } }],
  row: [
    { match: /^(matrix|vector)$/, clip: { by: 'row', most } },
    { match: /./, clip: { by: 'row', most } },
  ],
  none: [],
}

describe.each(reference.cases)('$optimizer, clip $clip', ({ optimizer, clip, norms, final, slots }) => {
  it('makes of five steps what PyTorch makes, and counts them by parameter', () =>
    scope(() => {
      const rule = make(optimizer)
      const parameters = made(reference.start)
      const state = initialState(rule, parameters)
      const found = rates.map((learningRate, step) =>
        update(parameters, gradientsAt(step), state, {
          ...{ optimizer: rule, groups: [...groups, ...clipRows[clip]!] },
          ...{ step, epoch: 0, learningRate, weightDecay },
        }),
      )
      expectClose(found, norms, 2e-6)
      expect(Object.keys(state.slots).sort()).toEqual(Object.keys(slots).sort())
      for (const name of Object.keys(shapes)) {
        expectClose(parameters.get(name)!, final[name]!, 2e-6)
        for (const slot of Object.keys(slots))
          expectClose(state.slots[slot]!.get(name)!, slots[slot]![name]!, 2e-6)
        expect([name, state.steps.get(name)]).toEqual([name, name === 'late' ? 3 : 5])
      }
      disposeState(state)
    }))
})

it('the reference has a case for every optimizer', () =>
  expect(new Set(reference.cases.map(({ optimizer }) => optimizer))).toEqual(new Set(names)))

/** Five steps with one kernel; what is there at the end. */
function steps(name: OptimizerName, kernel: StepKernel, device: Device = 'cpu') {
  return scope(() => {
    const rule = make(name)
    const parameters = made(reference.start, device)
    const state = initialState(rule, parameters)
    for (const [step, learningRate] of rates.entries()) {
      const gradients = gradientsAt(step, device)
      const given = [...parameters.keys()].map((each) => gradients.get(each) ?? null)
      take(rule, parameters, given, state, { groups, step, learningRate, weightDecay }, kernel)
    }
    const all = [parameters, ...Object.values(state.slots)].map(values)
    disposeState(state)
    return all
  })
}

describe.each(names)('%s', (name) => {
  const expectAlike = (found: Lists[], expected: Lists[]) => {
    for (const [i, lists] of expected.entries())
      for (const [key, list] of Object.entries(lists)) expectClose(found[i]![key]!, list, 1e-6)
  }

  it('is the same by the kernel as by operators', () =>
    expectAlike(steps(name, 'native'), steps(name, 'composed')))

  it.skipIf(engineBuild().cudaDevices === 0)('is the same on a GPU, by the library and by operators', () => {
    const expected = steps(name, 'composed')
    for (const kernel of ['composed', 'library'] as const) expectAlike(steps(name, kernel, 'cuda'), expected)
  })

  it('leaves a parameter without a gradient alone: no change, no moment, no decay, no count', () =>
    scope(() => {
      const rule = make(name)
      const parameters = made(reference.start)
      const state = initialState(rule, parameters)
      const { matrix } = reference.gradients[0]!
      const rows = { learningRate: 0.1, weightDecay: 0.5 }
      take(rule, parameters, [tensor(matrix!, shapes.matrix!)], state, rows)
      const { matrix: _, ...others } = values(parameters)
      const { matrix: __, ...before } = reference.start
      expect(others).toEqual(before)
      expect(numbers(parameters.get('matrix')!)).not.toEqual(reference.start.matrix)
      for (const slot of rule.slots) expect(numbers(state.slots[slot]!.get('vector')!)).toEqual([0, 0, 0])
      expect([state.steps.get('matrix'), state.steps.get('vector'), updatesTaken(state)]).toEqual([1, 0, 1])
      disposeState(state)
    }))

  it('frozen without a gradient: nothing moves; frozen at rate 0: moments and count move, weights do not', () =>
    scope(() => {
      const rule = make(name)
      const parameters = made(reference.start)
      const state = initialState(rule, parameters)
      const rows: GroupRow[] = [
        { match: /^matrix$/, frozenUntil: 2 },
        { match: /^slow$/, frozenUntil: 2, frozen: 'zero-rate' },
        { match: /^off$/, frozen: 'no-gradient' },
      ]
      const counts: (number | undefined)[][] = []
      for (let step = 0; step < 3; step++) {
        update(parameters, gradientsAt(0), state, {
          ...{ optimizer: rule, groups: rows, step, epoch: 0, learningRate: 0.1, weightDecay: 0.5 },
        })
        counts.push(['matrix', 'slow', 'off', 'vector'].map((each) => state.steps.get(each)))
        const now = values(parameters)
        expect(now.off).toEqual(reference.start.off)
        if (step === 2) continue
        expect([now.matrix, now.slow]).toEqual([reference.start.matrix, reference.start.slow])
        const memory = state.slots[rule.slots[0]!]!
        expect(numbers(memory.get('matrix')!)).toEqual([0, 0, 0, 0, 0, 0])
        expect(numbers(memory.get('slow')!)).not.toContain(0)
      }
      expect(counts).toEqual([
        [0, 1, 0, 1],
        [0, 2, 0, 2],
        [1, 3, 0, 3],
      ])
      expect(numbers(parameters.get('matrix')!)).not.toEqual(reference.start.matrix)
      expect(numbers(parameters.get('slow')!)).not.toEqual(reference.start.slow)
      disposeState(state)
    }))

  it('two steps, saved and loaded, and three more are five steps, bit for bit, with counts that differ', () =>
    scope(() => {
      const rule = make(name)
      const advance = (
        parameters: ReadonlyMap<string, Tensor>,
        state: OptimizerState,
        from: number,
        to: number,
      ) => {
        for (let step = from; step < to; step++)
          update(parameters, gradientsAt(step), state, {
            ...{ optimizer: rule, groups, step, epoch: 0, learningRate: rates[step]!, weightDecay },
          })
      }
      const whole = made(reference.start)
      const wholeState = initialState(rule, whole)
      advance(whole, wholeState, 0, 5)
      const half = made(reference.start)
      const halfState = initialState(rule, half)
      advance(half, halfState, 0, 2)
      const saved = { parameters: half, optimizer: halfState, step: 2, samples: 4 }
      const path = saveCheckpoint(temporaryFolder(), saved, { keep: 1 })
      const rows = Object.entries(shapes).map(
        ([each, shape]): ParameterRow => ({ name: each, shape, initial: 'zeros' }),
      )
      const loaded = loadCheckpoint(path, rows, 'cpu', rule.slots)
      expect(loaded.optimizer.steps).toEqual(halfState.steps)
      expect(loaded.optimizer.steps.get('late')).toBe(1)
      // As a rollback does: into tensors that are there.
      copyState(wholeState, loaded.optimizer)
      expect(wholeState.steps).toEqual(halfState.steps)
      const target = values(whole)
      advance(loaded.parameters, wholeState, 2, 5)
      expect(values(loaded.parameters)).toEqual(target)
      const again = loadCheckpoint(path, rows, 'cpu')
      advance(again.parameters, again.optimizer, 2, 5)
      expect(values(again.parameters)).toEqual(target)
      for (const slot of rule.slots)
        expect(values(again.optimizer.slots[slot]!)).toEqual(values(wholeState.slots[slot]!))
      for (const state of [wholeState, halfState, loaded.optimizer, again.optimizer]) disposeState(state)
      for (const { parameters } of [loaded, again]) for (const each of parameters.values()) each.dispose()
    }))

  it('makes no tensor that stays, and changes nothing where a gradient belongs to no parameter', () =>
    scope(() => {
      const rule = make(name)
      const parameters = made(reference.start)
      const state = initialState(rule, parameters)
      const gradients = gradientsAt(1)
      const before = liveTensors()
      const now = { optimizer: rule, groups, step: 0, epoch: 0, learningRate: 0.1, weightDecay }
      for (let i = 0; i < 3; i++) update(parameters, gradients, state, now)
      expect(liveTensors()).toBe(before)
      const [counts, weights] = [new Map(state.steps), values(parameters)]
      const wrong = new Map([...gradients, ['other', tensor([1], [1])]])
      const ratesOf = () => ({ rate: 1, decay: 0 })
      expect(() => rule.step(parameters, wrong, state, ratesOf)).toThrow(
        'The gradient "other" belongs to none of 6 parameters',
      )
      const other = { steps: state.steps, slots: { another: new Map() } }
      expect(() => rule.step(parameters, gradients, other, ratesOf)).toThrow(
        `The optimizer's state has no ${rule.slots.join(', ')} of parameter "matrix"`,
      )
      expect([state.steps, values(parameters)]).toEqual([counts, weights])
      disposeState(state)
    }))

  it('takes no gradient at all, and a norm that is not finite changes nothing', () =>
    scope(() => {
      const rule = make(name)
      const parameters = made(reference.start)
      const state = initialState(rule, parameters)
      const now = { optimizer: rule, step: 0, epoch: 0, learningRate: 0.1, weightDecay }
      expect(update(parameters, new Map(), state, now)).toBe(0)
      const gradients = new Map([...gradientsAt(1), ['vector', tensor([1, Number.NaN, 2], [3])]])
      expect(update(parameters, gradients, state, now)).toBe(Number.NaN)
      expect(values(parameters)).toEqual(reference.start)
      expect(updatesTaken(state)).toBe(0)
      disposeState(state)
    }))
})
