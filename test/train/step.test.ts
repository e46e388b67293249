import { describe, expect, it } from 'vitest'
import type { Collective } from '../../src/collective/collective.ts'
import { initialParameters, learnedIn, type ParameterRow } from '../../src/model/parameters.ts'
import { allRows } from '../../src/objective/averages.ts'
import { onePart, totalOf } from '../../src/objective/losses.ts'
import type { BatchObjective, Losses, Tensors } from '../../src/objective/objective.ts'
import { gradientNorm, gradientsOf } from '../../src/optim/gradients.ts'
import { initialState } from '../../src/optim/optimizer.ts'
import { type OptimizerChoice, optimizerOf } from '../../src/optim/optimizers.ts'
import { callInPlace } from '../../src/tensor/call.ts'
import { noGrad } from '../../src/tensor/context.ts'
import type { Kernels } from '../../src/tensor/fused.ts'
import { add, div, mean, mul, narrow, sub, sum } from '../../src/tensor/ops.ts'
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
  batch: narrow(tinyImages(8), 0, first, count),
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

  it('refuses a learned parameter that the loss does not reach, unless the objective lists it', () => {
    const rows: ParameterRow[] = [w, { name: 'idle', shape: [1], initial: 'ones' }]
    const loss: Small['loss'] = (weights) => slope(weights('w'))
    expect(() => step(small({ rows, loss }))).toThrow('Bug: the loss does not depend on parameter "idle"')
    const listed = small({ rows, loss, unreached: (name) => name === 'idle' }, adamw)
    step(listed)
    expect(valuesIn(listed, 'idle')).toEqual([1])
    expect(listed.state.steps.get('idle')).toBe(0)
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
    const { loss, parts, metrics } = step(small({ loss: two }), [
      [1, 3],
      [5, 7],
    ])
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

  it('stay where they are in a step that is not finite', () => {
    const broken: Small['loss'] = (weights) => onePart('broken', sum(div(weights('w'), 0)))
    const trainee = small({ averages, schedules, loss: broken } as never)
    noGrad(() => callInPlace('copy_', trainee.parameters.get('early.w')!, tensor([1, 1], [2])))
    step(trainee)
    expect(valuesIn(trainee, 'early.w')).toEqual([1, 1])
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
    const trainee = small({
      rows,
      loss: (weights) => {
        seen.push(item(sum(weights('centre'))))
        return breaks ? onePart('broken', div(sum(weights('w')), 0)) : slope(weights('w'))
      },
      first: (_, batches) => ({ centre: tensor([batches.length * 10], [1]) }),
    })
    step(trainee, [[1], [1]])
    expect(valuesIn(trainee, 'centre')).toEqual([0])
    breaks = false
    step(trainee, [[1], [1]], 1)
    step(trainee, [[1], [1]], 2)
    expect(valuesIn(trainee, 'centre')).toEqual([20])
    expect(new Set(seen)).toEqual(new Set([20]))
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
})
