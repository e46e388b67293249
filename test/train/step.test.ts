import { describe, expect, it } from 'vitest'
import type { Collective } from '../../src/collective/collective.ts'
import { initialParameters, learnedIn, type ParameterRow, type Weights } from '../../src/model/parameters.ts'
import { allRows } from '../../src/objective/averages.ts'
import { onePart, totalOf } from '../../src/objective/losses.ts'
import type { BatchObjective, Losses, RowsObjective, Tensors } from '../../src/objective/objective.ts'
import { gradientNorm, gradientsOf } from '../../src/optim/gradients.ts'
import { initialState } from '../../src/optim/optimizer.ts'
import { type OptimizerChoice, optimizerOf } from '../../src/optim/optimizers.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { callInPlace } from '../../src/tensor/call.ts'
import { noGrad, productType } from '../../src/tensor/context.ts'
import { type Kernels, kernelsChosen } from '../../src/tensor/fused.ts'
import { add, div, mean, mul, narrow, sqrt, sub, sum } from '../../src/tensor/ops.ts'
import { segment } from '../../src/tensor/recompute.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { item, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { beginStep, type StepResult } from '../../src/train/step.ts'
import type { Precision, Trainee } from '../../src/train/trainee.ts'
import { stirredParameters, tinyImages, tinyMae } from '../model/tiny-model.ts'
import { expectClose, numbers } from '../tolerance.ts'
import { collectGradients, ratesOf } from './tiny-training.ts'

const objective = tinyMae()
const parameters = stirredParameters(objective)
const micro = (first: number, count: number) => () => ({
  batch: { image: viewOf(narrow(tinyImages(8), 0, first, count)) },
  samples: { epochs: Array(count).fill(0), indices: Array.from({ length: count }, (_, i) => first + i) },
})
interface Way {
  readonly precision?: Precision
  readonly kernels?: Kernels
  readonly recompute?: boolean
}

/** The gradients of eight images in `parts` micro-batches. */
function collected(parts = 1, way: Way = {}) {
  const size = 8 / parts
  const { loss } = collectGradients(objective, parameters, {
    ...{ micro: Array.from({ length: parts }, (_, i) => micro(i * size, size)), seed: 3, ...way },
  })
  return scope(() => {
    const gradients = [...gradientsOf(parameters).values()]
    return { loss, gradients: gradients.map(numbers), norm: gradientNorm(gradients) }
  })
}

describe('the gradients of a step', () => {
  it.each([2, 4, 8])('over %d micro-batches are those of one batch of 8', (parts) => {
    const [whole, split] = [collected(), collected(parts)]
    expect(split.loss).toBeCloseTo(whole.loss, 6)
    for (const [i, gradient] of whole.gradients.entries()) expectClose(split.gradients[i]!, gradient, 1e-6)
    expect(split.norm).toBeCloseTo(whole.norm, 5)
    expect(whole.norm).toBeGreaterThan(0.01)
  })

  it('are of the loss that it gives', () => {
    const expected = noGrad(() =>
      scope(() => {
        const { batch, samples } = micro(0, 8)()
        const plan = objective.plan({ seed: 3, samples }, batch)
        return item(totalOf(objective.loss((name) => parameters.get(name)!, batch, plan)))
      }),
    )
    expect(collected().loss).toBeCloseTo(expected, 6)
  })

  it('keep no other tensor', () => {
    collected()
    const before = liveTensors()
    collected(2)
    expect(liveTensors()).toBe(before)
  })

  it('are the same when blocks are computed again, bit for bit', () => {
    expect(collected(1, { recompute: true })).toEqual(collected(1, { recompute: false }))
  })

  it('are the same with the kernels as with LibTorch’s operators', () => {
    const [fused, composed] = [collected(1, { kernels: 'fused' }), collected(1, { kernels: 'composed' })]
    expect(fused.loss).toBeCloseTo(composed.loss, 6)
    for (const [i, values] of fused.gradients.entries()) expectClose(values, composed.gradients[i]!, 1e-6)
  })

  it('in bfloat16 are near float32: loss within 1 %, gradients within 5 % of their norm', () => {
    const [full, half] = [collected(1, { precision: 'float32' }), collected(1, { precision: 'bfloat16' })]
    expect(Math.abs(full.loss - half.loss) / full.loss).toBeLessThan(0.01)
    expect(full.loss).not.toBe(half.loss) // it was another arithmetic
    const [x, y] = [full.gradients.flat(), half.gradients.flat()]
    const distance = Math.sqrt(x.reduce((total, v, i) => total + (v - y[i]!) ** 2, 0))
    expect(distance / full.norm).toBeLessThan(0.05)
    expect(distance).toBeGreaterThan(0)
  })
})

type Small = BatchObjective<Tensor, null>
const w: ParameterRow = { name: 'w', shape: [2], initial: 'zeros' }
const adamw = { optimizer: 'adamw', beta1: 0.9, beta2: 0.95, epsilon: 1e-8 } as const
const sgd = { optimizer: 'sgd', momentum: 0 } as const

/** A trainee of the one parameter w = (3, −1) and what else an objective has. */
function small(
  own: Partial<Small> & Pick<Small, 'loss'>,
  choice: OptimizerChoice = sgd,
): Trainee<Tensor, null> {
  const whole: Small = { rows: [w], encoder: { prefix: '' }, plan: () => null, ...own }
  const all = initialParameters(allRows(whole), { seed: 0, device: 'cpu' })
  noGrad(() => callInPlace('copy_', all.get('w')!, tensor([3, -1], [2])))
  const optimizer = optimizerOf(choice)
  return {
    ...{
      objective: whole,
      parameters: all,
      optimizer,
      state: initialState(optimizer, learnedIn(whole.rows, all)),
    },
    ...{ groups: [], clip: null, seed: 0, device: 'cpu', precision: 'float32' },
  }
}

/** A step of rate 0.5 without decay over micro-batches of these numbers. */
function step(
  trainee: Trainee<Tensor, null>,
  batches: readonly (readonly number[])[] = [[1]],
  number = 0,
): StepResult {
  const value = {
    ...ratesOf(0.5, 0),
    ...Object.fromEntries(Object.keys(trainee.objective.schedules ?? {}).map((name) => [name, 0.75])),
  }
  const open = beginStep(trainee, { step: number, epoch: number, value, parts: batches.length })
  for (const values of batches)
    open.add(() => ({
      batch: tensor([...values], [values.length]),
      samples: { epochs: values.map(() => 0), indices: values.map((_, i) => i) },
    }))
  return open.finish()
}
const valuesIn = ({ parameters: all }: Pick<Trainee<Tensor, null>, 'parameters'>, name = 'w') =>
  numbers(all.get(name)!)
/** Σ w · (6, 8), of slope (6, 8), of norm 10. */
const slope = (x: Tensor): Losses => onePart('slope', sum(mul(x, tensor([6, 8], [2]))))

describe('the update', () => {
  it('steps by the collected gradients and gives their norm', () => {
    const trainee = small({ loss: (weights) => slope(weights('w')) }, adamw)
    expect(step(trainee).gradientNorm).toBeCloseTo(10, 5)
    expectClose(valuesIn(trainee), [2.5, -1.5], 1e-6) // Adam's first step is the rate; no decay in one dimension
    expectClose(trainee.state.slots.exp_avg!.get('w')!, [0.6, 0.8], 1e-6)
    expect([...trainee.state.steps]).toEqual([['w', 1]])
  })

  it('clips before it steps, and gives the norm before that', () => {
    const trainee = {
      ...small({ loss: (weights) => slope(weights('w')) }),
      clip: { by: 'all', most: 1 } as const,
    }
    expect(step(trainee).gradientNorm).toBeCloseTo(10, 5)
    expectClose(valuesIn(trainee), [3 - 0.5 * 0.6, -1 - 0.5 * 0.8], 1e-6)
  })

  it('changes nothing when the norm is not finite', () => {
    const trainee = small({ loss: (weights) => onePart('broken', sum(div(weights('w'), 0))) }, adamw)
    const { gradientNorm: norm, ...rest } = step(trainee)
    expect([norm, rest.isFinite]).toEqual([Number.NaN, false])
    expect(valuesIn(trainee)).toEqual([3, -1])
    expect([[...trainee.state.steps], numbers(trainee.state.slots.exp_avg!.get('w')!)]).toEqual([
      [['w', 0]],
      [0, 0],
    ])
  })

  it('names weights that are not finite before what they spoil', () => {
    const trainee = small({ loss: (weights) => slope(weights('w')) })
    noGrad(() => callInPlace('copy_', trainee.parameters.get('w')!, tensor([1, Number.NaN], [2])))
    expect(step(trainee).first).toEqual({ where: 'w', nan: 1, infinite: 0, elements: 2 })
  })

  it('refuses a learned parameter that the loss does not reach, unless the objective lists it', () => {
    const rows: ParameterRow[] = [w, { name: 'idle', shape: [1], initial: 'ones' }]
    const loss: Small['loss'] = (weights) => slope(weights('w'))
    expect(() => step(small({ rows, loss }))).toThrow('Bug: the loss does not depend on parameter "idle"')
    const listed = small({ rows, loss, unreached: (name) => name === 'idle' }, adamw)
    step(listed)
    expect(valuesIn(listed, 'idle')).toEqual([1])
    expect(listed.state.steps.get('idle')).toBe(0)
  })

  it('gives a frozen parameter no moment, no count and no part in the norm until it thaws', () => {
    const rows: ParameterRow[] = [w, { name: 'last', shape: [2], initial: 'ones' }]
    const groups = [{ match: /^last$/, frozen: 'no-gradient', frozenUntil: 1 }] as const
    const loss: Small['loss'] = (weights) => slope(add(weights('w'), mul(weights('last'), 2)))
    const trainee = small({ rows, groups, loss }, adamw)
    const state = () => [
      ...[valuesIn(trainee, 'last'), numbers(trainee.state.slots.exp_avg!.get('last')!)],
      ...[[...trainee.state.steps.values()]],
    ]
    expect(step(trainee).gradientNorm).toBeCloseTo(10, 5)
    expect(state()).toEqual([
      [1, 1],
      [0, 0],
      [1, 0],
    ])
    expect(step(trainee, [[1]], 1).gradientNorm).toBeCloseTo(Math.sqrt(500), 4) // and (12, 16)
    expect(trainee.state.steps.get('last')).toBe(1)
    expectClose(valuesIn(trainee, 'last'), [0.5, 0.5], 1e-6)
  })

  it('thaws by epochs, which are not steps', () => {
    const groups = [{ match: /^w$/, frozenUntil: { epochs: 1 } }] as const
    const trainee = small({ groups, loss: (weights) => slope(weights('w')) }, adamw)
    const at = (epoch: number) => {
      const open = beginStep(trainee, { step: 5, epoch, value: ratesOf(0.5, 0), parts: 1 })
      open.add(() => ({ batch: tensor([1], [1]), samples: { epochs: [0], indices: [0] } }))
      open.finish()
      return trainee.state.steps.get('w')
    }
    expect([at(0.5), at(1)]).toEqual([0, 1])
  })

  it('takes the rows of the objective before those of the recipe', () => {
    const row = (rate: number) => [{ match: /^w$/, rate }] as const
    const of = (own: number | null, recipe: number | null) => {
      const trainee = small({ loss: (x) => slope(x('w')), ...(own !== null && { groups: row(own) }) })
      step({ ...trainee, groups: recipe === null ? [] : row(recipe) })
      return valuesIn(trainee)
    }
    expect([of(2, 0), of(null, 0)]).toEqual([
      [3 - 6, -1 - 8],
      [3, -1],
    ])
  })

  it('refuses a step without the value of a schedule, and one that is not given all its micro-batches', () => {
    const loss: Small['loss'] = (weights) => slope(weights('w'))
    const begin = (trainee: Trainee<Tensor, null>, value: Record<string, number>, parts = 1) =>
      beginStep(trainee, { step: 0, epoch: 0, value, parts })
    const averages = [{ prefix: 'late.', from: '', momentum: 'm', when: 'after-step' }] as const
    const trainee = small({ loss, averages })
    const refused = /schedule "m" has the value undefined/
    expect(() => begin(trainee, ratesOf(0.5, 0))).toThrow(refused)
    expect(() => begin(small({ loss }), { weightDecay: 0 })).toThrow(/"learningRate" has the value undefined/)
    const open = begin(trainee, { ...ratesOf(0.5, 0), m: 0.5 }, 2)
    open.add(() => ({ batch: tensor([1], [1]), samples: { epochs: [0], indices: [0] } }))
    expect(() => open.finish()).toThrow('a step of 2 micro-batches was given 1')
    expect([valuesIn(trainee), valuesIn(trainee, 'late.w')]).toEqual([
      [3, -1],
      [0, 0],
    ])
  })

  it('frees what is made for a micro-batch, and not what it shows of the caller', () => {
    const batch = tensor([1, 3], [2])
    const shown = (own: Partial<Small>) => {
      const loss: Small['loss'] = (weights, x) => onePart('x', mul(sum(weights('w')), mean(x)))
      const open = beginStep(small({ loss, ...own }), { step: 0, epoch: 0, value: ratesOf(0.5, 0), parts: 2 })
      const samples = { epochs: [0, 0], indices: [0, 1] }
      for (let part = 0; part < 2; part++) open.add(() => ({ batch, samples }))
      return open.finish().loss
    }
    expect([shown({}), shown({ counts: () => ({ x: 2 }) }), numbers(batch)]).toEqual([4, 4, [1, 3]])
  })

  it('leaves no tensor behind when a micro-batch fails', () => {
    const averages = [{ prefix: 'early.', from: '', momentum: 0.5, when: 'before-loss' }] as const
    const trainee = small({ averages, counts: () => ({ slope: 1 }), loss: (weights) => slope(weights('w')) })
    step(trainee, [[1], [1]])
    const before = liveTensors()
    const open = beginStep(trainee, { step: 1, epoch: 0, value: ratesOf(0.5, 0), parts: 2 })
    open.add(() => ({ batch: tensor([1], [1]), samples: { epochs: [0], indices: [0] } }))
    expect(() =>
      open.add(() => {
        throw new Error('no memory')
      }),
    ).toThrow('no memory')
    expect(liveTensors()).toBeLessThanOrEqual(before) // the gradient of the step before is forgotten
  })

  it('leaves parameters of the role fixed alone', () => {
    const rows: ParameterRow[] = [w, { name: 'still', shape: [2], initial: 'ones', role: 'fixed' }]
    const trainee = small({ rows, loss: (weights) => slope(mul(weights('w'), weights('still'))) })
    step(trainee)
    expect([valuesIn(trainee, 'still'), [...trainee.state.steps.keys()]]).toEqual([[1, 1], ['w']])
  })
})

describe('parts of a loss', () => {
  const two: Small['loss'] = (weights, batch) => ({
    parts: {
      first: { mean: mean(batch), weight: 1 },
      second: { mean: sum(weights('w')), weight: 0.25 },
    },
    metrics: { largest: mean(mul(batch, 2)) },
  })

  it('are added by weight, and given without it', () => {
    const trainee = small({ loss: two })
    const { loss, parts, metrics } = step(trainee, [
      [1, 3],
      [5, 7],
    ])
    expectClose(valuesIn(trainee), [3 - 0.5 * 0.25, -1 - 0.5 * 0.25], 1e-6)
    expect(parts).toEqual({ first: 4, second: 2 })
    expect(loss).toBe(4.5)
    expect(metrics).toEqual({ largest: 8 })
  })

  it('count by what micro-batches count', () => {
    // Slopes of mean(batch) · w₀ + w₁: of three values in the first micro-batch and of one in the second.
    const loss: Small['loss'] = (weights, batch) => ({
      parts: {
        some: { mean: mul(sum(mul(weights('w'), tensor([1, 0], [2]))), mean(batch)), weight: 1 },
        all: { mean: sum(mul(weights('w'), tensor([0, 1], [2]))), weight: 1 },
      },
    })
    const counts: NonNullable<Small['counts']> = (batch) => ({ some: batch.shape[0]!, all: 1 })
    const trainee = small({ loss, counts })
    const { parts } = step(
      trainee,
      [
        [1, 2, 6],
        [9, 9, 9],
      ].map((x, i) => (i === 0 ? x : x.slice(0, 1))),
    )
    expect(parts.some).toBeCloseTo(3 * 4.5 + 0, 5) // w₀ = 3 times the mean of 1, 2, 6, 9
    expect(parts.all).toBeCloseTo(-1, 6)
    expectClose(valuesIn(trainee), [3 - 0.5 * 4.5, -1 - 0.5], 1e-6)
  })
})

describe('shares of micro-batches', () => {
  it('are alike in a part that is not counted, and none in one of which nothing is there', () => {
    const loss: Small['loss'] = (weights, batch) => ({
      parts: {
        some: { mean: mul(sum(mul(weights('w'), tensor([1, 0], [2]))), mean(batch)), weight: 1 },
        rest: { mean: mul(sum(mul(weights('w'), tensor([0, 1], [2]))), mean(batch)), weight: 1 },
        none: { mean: sum(weights('w')), weight: 1 },
      },
    })
    const trainee = small({ loss, counts: (batch) => ({ some: batch.shape[0]!, none: 0 }) })
    const { parts } = step(trainee, [[1, 2, 6], [9]])
    expect(parts.some).toBeCloseTo(3 * 4.5, 5)
    expect(parts.rest).toBeCloseTo(-6, 5) // the mean of 3 and 9, by w₁ = −1
    expect(parts.none).toBe(0)
    expectClose(valuesIn(trainee), [3 - 0.5 * 4.5, -1 - 0.5 * 6], 1e-6)
  })
})

describe('a loss of all rows', () => {
  /** Σ over rows of x · w₀ · (w₁ of the head), with the rows of the step as a second feature. */
  const runs = { features: 0 }
  const rowsOf = (own: Partial<RowsObjective<Tensor, null>>): RowsObjective<Tensor, null> => ({
    ...{ rows: [w], encoder: { prefix: '' }, plan: () => null },
    features: (weights, batch) => {
      const [y] = segment([mul(batch, sum(mul(weights('w'), tensor([1, 0], [2]))))], ([x]) => {
        runs.features++
        return [mul(x!, x!)]
      })
      return { squares: y!, given: batch }
    },
    lossOfRows: (weights, { squares, given }) =>
      onePart('x', mul(mean(mul(squares!, given!)), sum(mul(weights('w'), tensor([0, 1], [2]))))),
    ...own,
  })

  it('has the gradient of all of them, and computes features again where it recomputes', () => {
    // mean(x³) w₀² w₁ of x = 1, 2, 3, 0: mean 9; slopes 2 · 9 · 3 · −1 and 9 · 9.
    for (const recompute of [false, true]) {
      const trainee = small(rowsOf({}) as never)
      runs.features = 0
      const { loss } = step({ ...trainee, recompute }, [
        [1, 2],
        [3, 0],
      ])
      expect(loss).toBeCloseTo(-81, 4)
      expectClose(valuesIn(trainee), [3 + 0.5 * 54, -1 - 0.5 * 81], 1e-4)
      expect(runs.features).toBe(recompute ? 6 : 4) // each: cached, with gradient, and once more going back
    }
  })

  it('is computed with the step’s kernels and precision in all that the objective does', () => {
    const ways = new Map<string, string>()
    const way = (place: string) => ways.set(place, `${kernelsChosen()} ${productType('cpu')}`)
    const own = rowsOf({})
    const watched = rowsOf({
      rows: [w, { name: 'centre', shape: [1], initial: 'zeros', role: 'state' }],
      plan: () => {
        way('plan')
        return null
      },
      first: () => {
        way('first')
        return {}
      },
      features: (...args) => {
        way('features')
        return own.features(...args)
      },
      lossOfRows: (...args) => {
        way('loss')
        return own.lossOfRows(...args)
      },
    })
    step({ ...small(watched as never), kernels: 'composed', precision: 'bfloat16' }, [
      [1, 2],
      [3, 0],
    ])
    const same = 'composed bfloat16'
    expect(Object.fromEntries(ways)).toEqual({ plan: same, first: same, features: same, loss: same })
  })

  it('that is not finite is traced over all rows', () => {
    const lossOfRows = (weights: Weights, { given }: Tensors) =>
      onePart('x', div(sum(weights('w')), sub(sum(given!), 6))) // infinite for the rows of the step alone
    const { isFinite: isWhole, first } = step(small(rowsOf({ lossOfRows }) as never), [
      [1, 2],
      [3, 0],
    ])
    expect([isWhole, first?.where]).toEqual([false, expect.stringMatching(/aten::div/)])
  })
})

describe('averages', () => {
  const averages = [
    { prefix: 'early.', from: '', momentum: 'momentum', when: 'before-loss' },
    { prefix: 'late.', from: '', momentum: 0.9, when: 'after-step' },
  ] as const
  const schedules = { momentum: { kind: 'constant', value: 0.75 } } as const
  /** The loss reads the early average. */
  const seen: number[][] = []
  const loss: Small['loss'] = (weights) => {
    seen.push(numbers(weights('early.w')))
    return slope(weights('w'))
  }

  it('move before the loss or after the step, once an update', () => {
    const trainee = small({ averages, schedules, loss } as never)
    noGrad(() => {
      for (const name of ['early.w', 'late.w'])
        callInPlace('copy_', trainee.parameters.get(name)!, tensor([1, 1], [2]))
    })
    seen.length = 0
    step(trainee, [[1], [1]])
    expect(seen).toEqual([
      [1.5, 0.5],
      [1.5, 0.5],
    ]) // 0.75 · 1 + 0.25 · (3, −1), in both micro-batches
    expectClose(valuesIn(trainee, 'early.w'), [1.5, 0.5], 1e-6)
    expectClose(valuesIn(trainee), [0, -5], 1e-6)
    expectClose(valuesIn(trainee, 'late.w'), [0.9, 0.9 - 0.5], 1e-6)
  })

  const zero = (weights: Weights) => mul(weights('w'), 0)
  const broken: Record<string, Partial<Small> & Pick<Small, 'loss'>> = {
    loss: { loss: (weights) => onePart('broken', sum(div(weights('w'), 0))) },
    gradient: { loss: (weights) => onePart('broken', sum(sqrt(zero(weights)))) }, // 0, of slope 0 · ∞
    state: { loss, update: (weights) => ({ centre: div(weights('centre'), 0) }) },
  }
  it.each(Object.keys(broken))('stay where they are, with all else, when the %s is not finite', (what) => {
    const rows: ParameterRow[] = [w, { name: 'centre', shape: [1], initial: 'zeros', role: 'state' }]
    const update: Small['update'] = (weights) => ({ centre: add(weights('centre'), 1) })
    const trainee = small({ averages, schedules, rows, update, ...broken[what] } as never, adamw)
    noGrad(() => {
      for (const name of ['early.w', 'late.w'])
        callInPlace('copy_', trainee.parameters.get(name)!, tensor([1, 1], [2]))
    })
    expect(step(trainee).isFinite).toBe(false)
    expect(['w', 'early.w', 'late.w', 'centre'].map((name) => valuesIn(trainee, name))).toEqual([
      ...[[3, -1], [1, 1], [1, 1], [0]],
    ])
    expect([...trainee.state.steps.values()]).toEqual([0])
  })

  it('of what is fixed move only where they are asked to', () => {
    const rows: ParameterRow[] = [w, { name: 'still', shape: [2], initial: 'ones', role: 'fixed' }]
    const moved = (fixed: 'copied' | 'averaged') => {
      const follows = [{ prefix: 'late.', from: '', momentum: 0.75, when: 'after-step', fixed }] as const
      const trainee = small({ rows, averages: follows, loss: (weights) => slope(weights('w')) })
      noGrad(() => callInPlace('copy_', trainee.parameters.get('late.still')!, tensor([5, 1], [2])))
      step(trainee)
      return valuesIn(trainee, 'late.still')
    }
    expect([moved('copied'), moved('averaged')]).toEqual([
      [5, 1],
      [4, 1],
    ])
  })

  it('of what is fixed are copies, so that the network under their prefix is whole', () => {
    const rows: ParameterRow[] = [
      { ...w, name: 'student.w' },
      { name: 'student.scale', shape: [2], initial: 'ones', role: 'fixed' },
      { name: 'student.running', shape: [2], initial: 'zeros', role: 'state' },
    ]
    const follows = [{ prefix: 'teacher.', from: 'student.', momentum: 0.9, when: 'after-step' }] as const
    const made = [
      { name: 'teacher.w', shape: [2], role: 'state', initial: { copyOf: 'student.w' } },
      { name: 'teacher.scale', shape: [2], role: 'fixed', initial: { copyOf: 'student.scale' } },
    ]
    expect(allRows({ rows, averages: follows }).slice(3)).toEqual(made)
    const of = (name: string) => name !== 'scale'
    expect(allRows({ rows, averages: [{ ...follows[0], of }] }).slice(3)).toEqual(made.slice(0, 1))
    const ofTeacher = [...follows, { ...follows[0], prefix: 'gram.', from: 'teacher.' }]
    expect(() => allRows({ rows, averages: ofTeacher })).toThrow('the average "gram." follows nothing')
    expect(() => allRows({ rows, averages: [...follows, ...follows] })).toThrow('the name "teacher.w"')
  })
})

describe('state', () => {
  const rows: ParameterRow[] = [w, { name: 'centre', shape: [1], initial: 'zeros', role: 'state' }]
  const own = (update: (centre: Tensor, stats: Tensors) => Tensor) =>
    small({
      ...{ rows, stats: { total: 'sum', values: 'rows' } },
      loss: (weights, batch) => ({ ...slope(weights('w')), stats: { total: sum(batch), values: batch } }),
      update: (weights, stats) => ({ centre: update(weights('centre'), stats) }),
    })

  it('is updated from the sums and rows of all micro-batches', () => {
    const shapes: (readonly number[])[] = []
    const trainee = own((centre, { total, values }) => {
      shapes.push(values!.shape)
      return add(mul(centre, 0.5), total!)
    })
    step(trainee, [
      [1, 2],
      [3, 4],
    ])
    step(
      trainee,
      [
        [1, 2],
        [3, 4],
      ],
      1,
    )
    expect(valuesIn(trainee, 'centre')).toEqual([15])
    expect(shapes).toEqual([[4], [4]])
  })

  it('that is not finite keeps the whole step from being written, and is named', () => {
    const trainee = own((centre) => div(add(centre, 1), sub(centre, centre)))
    const { first, ...rest } = step(trainee)
    expect([rest.isFinite, first?.where]).toEqual([false, 'the new value of centre'])
    expect([valuesIn(trainee), valuesIn(trainee, 'centre')]).toEqual([[3, -1], [0]])
  })

  it('begins with first values, which the first loss sees, and which come again until a step was written', () => {
    const seen: number[] = []
    let breaks = true
    let calls = 0
    const trainee = small({
      rows: [...rows, { name: 'kept', shape: [1], initial: 'ones', role: 'state' }],
      loss: (weights) => {
        seen.push(item(sum(weights('centre'))))
        return breaks ? onePart('broken', div(sum(weights('w')), 0)) : slope(weights('w'))
      },
      first: (x, batches) => {
        calls++
        return { centre: tensor([batches.length * 10], [1]), kept: x('kept') } // one stays as it is
      },
      update: (weights) => ({ centre: add(weights('centre'), 1) }),
    })
    step(trainee, [[1], [1]])
    expect(valuesIn(trainee, 'centre')).toEqual([0])
    breaks = false
    step(trainee, [[1], [1]], 1)
    step(trainee, [[1], [1]], 2)
    expect(valuesIn(trainee, 'centre')).toEqual([22])
    expect(seen.filter((x, i) => x !== seen[i - 1])).toEqual([20, 21])
    expect([calls, valuesIn(trainee, 'kept')]).toEqual([2, [1]])
  })

  it('is refused where it is no state, or of another shape; first values that are not finite lose the step', () => {
    const refused = (values: Tensors) => () =>
      step(small({ rows, loss: (x) => slope(x('w')), update: () => values }))
    expect(refused({ w: tensor([1, 2], [2]) })).toThrow(
      /gives "w" as .*, expected one of its rows of the role "state"/,
    )
    expect(refused({ centre: tensor([1, 2], [2]) })).toThrow(/gives "centre" as .*, expected \[1\]/)
    expect(refused({ other: tensor([1], [1]) })).toThrow(/gives "other"/)
    const first = () => ({ centre: tensor([Number.NaN], [1]) })
    const trainee = small({ rows, loss: (x) => slope(x('w')), first })
    const { isFinite: isWhole, first: wrong } = step(trainee)
    expect([isWhole, wrong?.where, valuesIn(trainee), valuesIn(trainee, 'centre')]).toEqual([
      ...[false, 'the first value of centre', [3, -1], [0]],
    ])
  })
})

describe('a world of two ranks', () => {
  /** The other rank has what this one has: sums are double, rows come twice. */
  const twin = (rank: number): Collective => ({
    ...{ rank, world: 2 },
    allReduce: (tensors) =>
      noGrad(() => {
        for (const x of tensors) callInPlace('mul_.Scalar', x, 2)
      }),
    gather: (x) => x,
    agree: (holds) => holds,
  })

  it('with equal samples steps as one does', () => {
    const run = (collective?: Collective) => {
      const trainee = small({ loss: (weights, batch) => onePart('x', mul(sum(weights('w')), mean(batch))) })
      const { loss, gradientNorm: norm } = step({ ...trainee, ...(collective && { collective }) }, [[1, 2]])
      return [loss, norm, valuesIn(trainee)]
    }
    expect(run(twin(1))).toEqual(run())
  })

  it('sums what is counted, left for state and measured', () => {
    const run = (collective?: Collective) => {
      const trainee = small({
        ...{
          rows: [w, { name: 'centre', shape: [1], initial: 'zeros', role: 'state' }],
          stats: { total: 'sum' },
        },
        counts: (batch) => ({ x: batch.shape[0]! }),
        loss: (weights, batch) => ({
          ...onePart('x', mul(sum(weights('w')), mean(batch))),
          ...{ stats: { total: sum(batch) }, metrics: { mean: mean(batch) } },
        }),
        update: (weights, { total }) => ({ centre: add(weights('centre'), total!) }),
      })
      const { loss, metrics } = step({ ...trainee, ...(collective && { collective }) }, [[1, 2, 6], [9]])
      return { loss, metrics, w: valuesIn(trainee), centre: valuesIn(trainee, 'centre') }
    }
    const one = run()
    expect(one).toMatchObject({ loss: 9, metrics: { mean: 6 }, centre: [18] }) // (3 − 1) · 4.5
    expect(run(twin(0))).toEqual({ ...one, centre: [36] })
  })

  it('shares the loss of all rows, and gives zeros for a gradient that the other rank alone has', () => {
    const rows: ParameterRow[] = [w, { name: 'other', shape: [2], initial: 'ones' }]
    const trainee = small({
      ...{
        rows,
        unreached: (name: string) => name === 'other',
        features: (_: Weights, x: Tensor) => ({ x }),
      },
      lossOfRows: (weights: Weights, { x }: Tensors) => onePart('x', mul(sum(weights('w')), mean(x!))),
    } as never)
    const collective: Collective = {
      ...twin(0),
      // The first that is reduced says who has which gradient; the other rank has both of them.
      allReduce: (tensors) =>
        noGrad(() => {
          for (const x of tensors)
            callInPlace(
              x.dtype === 'float32' ? 'add_.Scalar' : 'mul_.Scalar',
              x,
              x.dtype === 'float32' ? 1 : 2,
            )
        }),
    }
    const { loss } = step({ ...trainee, collective }, [[1, 3], [2]])
    expect(loss).toBeCloseTo(4, 5) // (3 − 1) · 2, half of it from each rank
    expectClose(valuesIn(trainee), [3 - 0.5 * (1 + 1), -1 - 0.5 * (1 + 1)], 1e-6) // half of its mean, and 1 of the other
    expectClose(valuesIn(trainee, 'other'), [1 - 0.5, 1 - 0.5], 1e-6)
    expect(trainee.state.steps.get('other')).toBe(1)
  })

  it('says which of all rows a micro-batch has', () => {
    const seen: number[][] = []
    const loss: Small['loss'] = (weights, _, __, { firstRow, rows }) => {
      seen.push([firstRow, rows])
      return slope(weights('w'))
    }
    const wholes: number[][] = []
    const update: Small['update'] = (_, __, { firstRow, rows, samples }) => {
      wholes.push([firstRow, rows, ...Array.from(samples.indices)])
      return {}
    }
    step({ ...small({ loss, update }), collective: twin(1) }, [
      [5, 6],
      [7, 8],
    ])
    expect([seen, wholes]).toEqual([
      [
        [4, 8],
        [6, 8],
      ],
      [[4, 8, 0, 1, 0, 1]],
    ])
  })

  it('exchanges the same on a rank whose loss is not finite as on the others', () => {
    /** What a rank exchanges when the first of its micro-batches, or of the other's, is poor. */
    const exchanged = (own: number, isOtherFine: boolean) => {
      const log: string[] = []
      const collective: Collective = {
        ...twin(0),
        gather: (x) => {
          log.push(`gather ${x.shape}`)
          return x
        },
        agree: (holds) => {
          log.push('agree')
          return holds && isOtherFine
        },
      }
      const loss: Small['loss'] = (weights, batch, _, at) =>
        onePart('x', mul(sum(weights('w')), mean(at.collective.gather(batch))))
      const { isFinite: isWhole } = step({ ...small({ loss }), collective }, [[own], [1]])
      expect(isWhole).toBe(false)
      return log
    }
    const log = exchanged(Number.NaN, true)
    expect(log).toEqual(exchanged(1, false))
    expect(log).toEqual(['gather 1', 'agree', 'gather 1']) // the loss, the agreement, the same loss traced
  })
})
