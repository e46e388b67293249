/** What every objective must keep, whatever it learns. A new one is a row in `conformance-rows.ts`. */
import { describe, expect, it } from 'vitest'
import { loadCheckpoint, saveCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { alone } from '../../src/collective/collective.ts'
import { initialParameters, isLearned, learnedIn } from '../../src/model/parameters.ts'
import { allRows } from '../../src/objective/averages.ts'
import type { Objective } from '../../src/objective/objective.ts'
import { initialState, type Optimizer } from '../../src/optim/optimizer.ts'
import { optimizerOf } from '../../src/optim/optimizers.ts'
import { valuesAt } from '../../src/optim/schedule.ts'
import { type Called, witnessing } from '../../src/tensor/call.ts'
import { gradient, noGrad } from '../../src/tensor/context.ts'
import type { Kernels } from '../../src/tensor/fused.ts'
import { mul } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { Tensor } from '../../src/tensor/tensor.ts'
import type { Span } from '../../src/train/span.ts'
import { beginStep, type StepResult } from '../../src/train/step.ts'
import type { Precision, Trainee } from '../../src/train/trainee.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'
import { numbers } from '../tolerance.ts'

/** An objective with samples to learn from, for the suite. */
export interface Conforming<Batch, Plan> {
  readonly objective: () => Objective<Batch, Plan>
  /** The samples of these indices, in this order; a pure function of them. Called inside a scope. */
  readonly batch: (indices: readonly number[]) => Batch
  /** A learning rate for AdamW at which the loss falls in forty steps; 3e-3 by default. */
  readonly rate?: number
}

const SEED = 11
const ROWS = 16
const each = (n: number, first = 0) => Array.from({ length: n }, (_, i) => first + i)

export function trainee<Batch, Plan>(
  objective: Objective<Batch, Plan>,
  optimizer: Optimizer,
  over: Partial<Trainee<Batch, Plan>> = {},
): Trainee<Batch, Plan> {
  const parameters = initialParameters(allRows(objective), { seed: SEED, device: 'cpu' })
  return {
    ...{
      objective,
      parameters,
      optimizer,
      state: initialState(optimizer, learnedIn(objective.rows, parameters)),
    },
    ...{ groups: [], clip: null, seed: SEED, device: 'cpu', precision: 'float32', ...over },
  }
}

const adamW = () => optimizerOf({ optimizer: 'adamw', beta1: 0.9, beta2: 0.95, epsilon: 1e-8 })
const sgd = () => optimizerOf({ optimizer: 'sgd', momentum: 0.9 })
const rateOf = (learningRate: number) => ({ learningRate, weightDecay: 0.05 })

export interface Stepping<Batch, Plan> extends Conforming<Batch, Plan> {
  readonly trained: Trainee<Batch, Plan>
  readonly learningRate: number
}

/** Step `step` over the same sixteen samples in `parts` micro-batches; `spoil` changes a micro-batch. */
export function stepOnce<Batch, Plan>(
  { trained, batch, learningRate }: Pick<Stepping<Batch, Plan>, 'trained' | 'batch' | 'learningRate'>,
  { step, parts = 1, spoil = (x) => x }: { step: number; parts?: number; spoil?: (x: Batch) => Batch },
): StepResult {
  const when = { step, epoch: step, stepsPerEpoch: 1, totalSteps: 40 }
  const value = { ...valuesAt(trained.objective.schedules ?? {}, when), ...rateOf(learningRate) }
  const open = beginStep(trained, { step, epoch: step, parts, value })
  const size = ROWS / parts
  for (let part = 0; part < parts; part++)
    open.add(() => {
      const indices = each(size, part * size)
      return { batch: spoil(batch(indices)), samples: { epochs: indices.map(() => step), indices } }
    })
  return open.finish()
}

const valuesIn = (tensors: ReadonlyMap<string, Tensor>) =>
  new Map([...tensors].map(([name, x]) => [name, numbers(x)]))
/** Everything that a step may write, as numbers. */
const written = <Batch, Plan>({ parameters, state }: Trainee<Batch, Plan>) => ({
  parameters: valuesIn(parameters),
  steps: [...state.steps],
  slots: Object.entries(state.slots).map(([slot, tensors]) => [slot, valuesIn(tensors)] as const),
})

/** The same batch with every tensor of it not a number. */
const poisoned = <T>(value: T): T => {
  if (value instanceof Tensor) return mul(value, Number.NaN) as T
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, x]) => [key, poisoned(x)])) as T
}

const farthest = (a: readonly number[], b: readonly number[]) =>
  a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0)

/** Registers the suite for a row. */
export function conforms<Batch, Plan>(name: string, row: Conforming<Batch, Plan>): void {
  const { objective, batch, rate = 3e-3 } = row
  const made = (optimizer: Optimizer = adamW(), over: Partial<Trainee<Batch, Plan>> = {}) => {
    const trained = trainee(objective(), optimizer, over)
    return { trained, batch, learningRate: rate }
  }
  describe(name, () => {
    it('has a finite loss that falls', () => {
      const own = made()
      const losses = each(40).map((step) => stepOnce(own, { step }).loss)
      const mean = (x: readonly number[]) => x.reduce((a, b) => a + b, 0) / x.length
      expect(losses.every(Number.isFinite)).toBe(true)
      expect(mean(losses.slice(-5))).toBeLessThan(0.9 * mean(losses.slice(0, 5)))
    })

    it('describes every part of its loss and every metric, and no other', () => {
      const own = made()
      const { parts, metrics } = stepOnce(own, { step: 0 })
      const rows = own.trained.objective.metrics ?? []
      const named = (isPart: boolean) =>
        rows.filter(({ kind }) => (kind === 'loss') === isPart).map((x) => x.name)
      expect(named(true)).toEqual(Object.keys(parts))
      expect(named(false)).toEqual(Object.keys(metrics))
    })

    it('gives a gradient to every learned parameter but those it lists, and to no other', () => {
      const own = made()
      stepOnce(own, { step: 9 })
      const { objective: kind, parameters } = own.trained
      const reached = new Set(
        [...parameters].filter(([, x]) => scope(() => gradient(x) !== null)).map(([n]) => n),
      )
      const rows = allRows(kind)
      const expected = rows.filter((each) => isLearned(each) && !kind.unreached?.(each.name))
      expect([...reached].sort()).toEqual(expected.map(({ name: n }) => n).sort())
    })

    it('continues from a checkpoint to the same bits', () => {
      const [straight, before] = [made(), made()]
      for (const step of each(8)) stepOnce(straight, { step })
      for (const step of each(4)) stepOnce(before, { step })
      const { trained } = before
      const path = saveCheckpoint(
        temporaryFolder(),
        { parameters: trained.parameters, optimizer: trained.state, step: 4, samples: 64 },
        { keep: 2 },
      )
      const loaded = loadCheckpoint(path, allRows(trained.objective), 'cpu', trained.optimizer.slots)
      const after = {
        ...before,
        trained: { ...trained, parameters: loaded.parameters, state: loaded.optimizer },
      }
      for (const step of each(4, 4)) stepOnce(after, { step })
      expect(written(after.trained)).toEqual(written(straight.trained))
    })

    it('accumulated over four micro-batches is one batch: loss, gradients, state and averages, with one update', () => {
      const [whole, parted] = [made(sgd()), made(sgd())]
      for (const step of each(3)) {
        const [one, four] = [stepOnce(whole, { step }), stepOnce(parted, { step, parts: 4 })]
        expect(four.loss).toBeCloseTo(one.loss, 5)
        expect(four.gradientNorm / one.gradientNorm).toBeCloseTo(1, 4)
        for (const [part, value] of Object.entries(one.parts)) expect(four.parts[part]).toBeCloseTo(value, 5)
        const [a, b] = [written(whole.trained), written(parted.trained)]
        for (const [parameter, values] of a.parameters)
          expect(farthest(values, b.parameters.get(parameter)!), parameter).toBeLessThan(2e-5)
        expect(b.steps).toEqual(a.steps)
      }
    })

    it('writes nothing in a step that is not finite, and says where it began', () => {
      const own = made()
      stepOnce(own, { step: 0 })
      const before = written(own.trained)
      const result = stepOnce(own, { step: 1, parts: 2, spoil: poisoned })
      expect([result.isFinite, result.first !== null]).toEqual([false, true])
      expect(written(own.trained)).toEqual(before)
      expect(stepOnce(own, { step: 2 }).isFinite).toBe(true)
    })

    it('plans by the address of each sample alone', () => {
      const kind = objective()
      const weights = (n: string) => made().trained.parameters.get(n)!
      const planOf = (indices: readonly number[]) =>
        noGrad(() =>
          scope(() => {
            const at = {
              ...{ seed: SEED, step: 3, epoch: 2, firstRow: 0, rows: indices.length, value: {} as never },
              samples: { epochs: indices.map(() => 2), indices },
              collective: alone,
            }
            return rowsOf(kind.plan(at, batch(indices), weights), indices.length)
          }),
        )
      const [straight, turned] = [planOf([4, 7, 1]), planOf([1, 4, 7])]
      expect(turned).toEqual([straight[2], straight[0], straight[1]])
      if (straight[0]!.length > 0) expect(planOf([5, 7, 1])[0]).not.toEqual(straight[0])
    })

    const paths = (['fused', 'composed'] as const).flatMap((kernels) =>
      [false, true].map((recompute) => ({ kernels, recompute })),
    )
    const oneStep = (kernels: Kernels, precision: Precision, recompute: boolean) =>
      stepOnce(made(adamW(), { kernels, precision, recompute }), { step: 5 })

    it.each(paths)(
      'gives the same with kernels $kernels, recompute $recompute, in both precisions',
      (path) => {
        const [base, full] = [
          oneStep('composed', 'float32', false),
          oneStep(path.kernels, 'float32', path.recompute),
        ]
        expect(full.loss).toBeCloseTo(base.loss, 5)
        expect(full.gradientNorm / base.gradientNorm).toBeCloseTo(1, 3)
        const half = oneStep(path.kernels, 'bfloat16', path.recompute)
        expect(Math.abs(half.loss / base.loss - 1)).toBeLessThan(0.02)
        expect(Math.abs(half.gradientNorm / base.gradientNorm - 1)).toBeLessThan(0.2)
        const plain = oneStep(path.kernels, 'float32', false)
        expect([full.loss, full.gradientNorm]).toEqual([plain.loss, plain.gradientNorm]) // recomputing keeps the bits
      },
    )

    it('computes within the named parts of a step alone', () => {
      const open: string[] = []
      const outside: string[] = []
      const span: Span = (part, body) => {
        open.push(part)
        try {
          return body()
        } finally {
          open.pop()
        }
      }
      const see = ({ name: operator }: Called) => {
        if (open.length === 0) outside.push(operator)
      }
      const own = made(adamW(), { span })
      // The batches are made within `upload`, too.
      witnessing(see, () => {
        for (const parts of [1, 2]) stepOnce(own, { step: parts, parts })
      })
      expect(outside).toEqual([])
    })

    it('keeps no tensor of a step', () => {
      const own = made()
      for (const step of each(2)) stepOnce(own, { step, parts: 2 })
      const before = liveTensors()
      for (const step of each(2, 2)) stepOnce(own, { step, parts: 2 })
      expect(liveTensors()).toBe(before)
    })
  })
}

/** The numbers of each row of a plan: of every tensor whose first dimension is the rows'. */
function rowsOf(plan: unknown, rows: number): number[][] {
  const tensors: Tensor[] = []
  const collect = (value: unknown): void => {
    if (value instanceof Tensor) tensors.push(value)
    else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value))
      Object.values(value).forEach(collect)
  }
  collect(plan)
  return each(rows).map((row) =>
    tensors.flatMap((x) => {
      const all = numbers(x)
      const width = all.length / rows
      return all.slice(row * width, (row + 1) * width)
    }),
  )
}
