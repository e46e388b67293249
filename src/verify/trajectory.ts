/** The steps of a reference file, taken with the trainer's own step. */
import { SherdError } from '../errors.ts'
import { learnedIn, type Parameters, type Weights } from '../model/parameters.ts'
import type { At, Objective } from '../objective/objective.ts'
import { gradientsOf } from '../optim/gradients.ts'
import { disposeState, initialState } from '../optim/optimizer.ts'
import { clearGradients } from '../tensor/context.ts'
import { describeNotFinite } from '../tensor/finite.ts'
import { toDevice } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, type Tensor, toArray, toFloats } from '../tensor/tensor.ts'
import type { Span } from '../train/span.ts'
import { beginStep } from '../train/step.ts'
import type { Opened } from './network-row.ts'
import { inSteps, type Recipe } from './recipe.ts'

export const numbersOf = (x: Tensor): ArrayLike<number> =>
  scope(() => {
    const here = toDevice(x, 'cpu')
    return here.dtype === 'float32' ? toFloats(here) : Array.from(toArray(here) as ArrayLike<number>, Number)
  })

/** The same objective, with a look at what its loss is of. */
function watched<Batch, Plan>(
  objective: Objective<Batch, Plan>,
  look: (weights: Weights, batch: Batch, plan: Plan, at: At) => void,
): Objective<Batch, Plan> {
  if ('features' in objective) {
    let last: readonly [Batch, Plan] | null = null
    return {
      ...objective,
      features(weights, batch, plan, at) {
        last = [batch, plan]
        return objective.features(weights, batch, plan, at)
      },
      lossOfRows(weights, features, at) {
        look(weights, ...last!, at)
        return objective.lossOfRows(weights, features, at)
      },
    }
  }
  return {
    ...objective,
    loss(weights, batch, plan, at) {
      look(weights, batch, plan, at)
      return objective.loss(weights, batch, plan, at)
    },
  }
}

/** What training from a file's first values gives. */
export interface Trajectory {
  readonly losses: number[]
  /** Of each part, by step. */
  readonly parts: Record<string, number[]>
  /** Of the first step, before clipping; null where a parameter has none. */
  readonly gradients: ReadonlyMap<string, ArrayLike<number> | null>
  readonly outputs: ReadonlyMap<string, ArrayLike<number>>
  readonly final: ReadonlyMap<string, ArrayLike<number>>
}

interface TakeOptions<Batch, Plan> {
  readonly opened: Opened<Batch, Plan>
  readonly parameters: Parameters
  readonly recipe: Recipe
  readonly microBatches: number
  readonly device: Device
}

export function takeSteps<Batch, Plan>(options: TakeOptions<Batch, Plan>): Trajectory {
  const { opened, parameters, recipe, microBatches, device } = options
  const { samples: rows, groups = [], schedules = {} } = opened
  const steps = recipe.learningRates.length
  const size = rows / microBatches
  if (!Number.isInteger(size))
    throw new SherdError('VALUE', `${rows} samples do not make ${microBatches} equal micro-batches`)
  const losses: number[] = []
  const parts: Record<string, number[]> = {}
  const gradients = new Map<string, ArrayLike<number> | null>()
  const outputs = new Map<string, ArrayLike<number>>()
  const look = (weights: Weights, batch: Batch, plan: Plan, at: At) => {
    if (at.step > 0 || microBatches > 1 || !opened.outputs) return
    scope(() => {
      for (const [name, x] of Object.entries(opened.outputs!(weights, batch, plan, at)))
        outputs.set(name, numbersOf(x))
    })
    clearGradients(parameters.values()) // an output may be a gradient
  }
  const { plan = opened.objective.plan } = opened
  const objective = watched({ ...opened.objective, plan } as Objective<Batch, Plan>, look)
  const learned = learnedIn(objective.rows, parameters)
  const state = initialState(recipe.optimizer, learned)
  const takeGradients = () =>
    scope(() => {
      const found = gradientsOf(learned)
      for (const name of learned.keys())
        gradients.set(name, found.has(name) ? numbersOf(found.get(name)!) : null)
    })
  const values = Object.entries({
    learningRate: recipe.learningRates,
    weightDecay: recipe.weightDecays,
    ...schedules,
  }).map(([name, each]) => [name, inSteps(name, each, steps)] as const)
  for (let step = 0; step < steps; step++) {
    const span: Span = (name, body) => {
      if (step === 0 && name === 'optimizer') takeGradients() // which clips them
      return body()
    }
    const trainee = {
      ...{ objective, parameters, optimizer: recipe.optimizer, state, seed: 0, device },
      ...{ groups: [...groups, ...recipe.groups], clip: opened.clip ?? recipe.clip },
      ...({ precision: 'float32', span } as const),
    }
    const value = Object.fromEntries(values.map(([name, each]) => [name, each[step]!]))
    const open = beginStep(trainee, { step, epoch: step, value, parts: microBatches })
    for (let part = 0; part < microBatches; part++)
      open.add(() => {
        const indices = Array.from({ length: size }, (_, i) => part * size + i)
        const samples = { epochs: indices.map(() => step), indices }
        return { batch: opened.batch({ step, samples, rows }), samples }
      })
    const { isFinite: isWhole, loss, parts: given, gradientNorm, first } = open.finish()
    if (!isWhole) {
      const where = first ? `; first: ${describeNotFinite(first)}` : ''
      const what = `its step ${step + 1} gave loss ${loss}, gradient norm ${gradientNorm}`
      throw new SherdError('VALUE', what + where)
    }
    losses.push(loss)
    for (const [name, each] of Object.entries(opened.parts?.(given) ?? given))
      parts[name] = [...(parts[name] ?? []), each]
  }
  disposeState(state)
  const final = new Map([...parameters].map(([name, x]) => [name, numbersOf(x)]))
  return { losses, parts, gradients, outputs, final }
}
