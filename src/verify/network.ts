/**
 * Reference files of networks: the objective that a file names, built from its config, takes the file's steps with the trainer's own step;
 * outputs, loss, parts and gradients of the first step, all losses and what is there at the end are compared. A row says how an objective
 * is built; this file knows none of them.
 */
import type { z } from 'zod'
import { readSafetensors } from '../checkpoint/safetensors.ts'
import { SherdError } from '../errors.ts'
import { learnedIn, loadParameters, type Parameters, type Weights } from '../model/parameters.ts'
import { allRows } from '../objective/averages.ts'
import type { At, Objective, Tensors } from '../objective/objective.ts'
import type { Clip } from '../optim/gradients.ts'
import { gradientsOf } from '../optim/gradients.ts'
import type { GroupRow } from '../optim/groups.ts'
import { disposeState, initialState } from '../optim/optimizer.ts'
import { clearGradients } from '../tensor/context.ts'
import { full, narrow, select, toDevice } from '../tensor/ops.ts'
import { disposeAll, scope } from '../tensor/scope.ts'
import { type Device, type Tensor, toArray, toFloats } from '../tensor/tensor.ts'
import type { Span } from '../train/span.ts'
import { beginStep } from '../train/step.ts'
import { type Check, compare, greatestOf } from './check.ts'
import { parseMetadata } from './metadata.ts'
import type { Checked } from './operator-file.ts'
import { type ByStep, inSteps, type Recipe, readRecipe } from './recipe.ts'
import { boundOf, type Facts, type Page } from './tolerances.ts'

/** What a row builds an objective from, beside the config. */
export interface Given {
  readonly device: Device
  readonly tensors: ReadonlyMap<string, Tensor>
  /** Throws `VALUE` where the file has none. */
  tensor(name: string): Tensor
  /** Samples `indices` of `input.<name>` on the device. With one dimension more than `rank` it has one entry for each step. */
  input(name: string, of: Pick<At, 'step' | 'samples'>, rank: number): Tensor
}

/** An objective as a file describes it. */
export interface Opened<Batch, Plan> {
  readonly objective: Objective<Batch, Plan>
  /** Samples of a step. */
  readonly samples: number
  /** Above 1 the steps are taken again in so many micro-batches, and compared as well. */
  readonly microBatches?: number
  /** Beside the learning rate and the weight decay. */
  readonly schedules?: Readonly<Record<string, ByStep>>
  /** Behind those of the objective, before those of the file's optimizer. */
  readonly groups?: readonly GroupRow[]
  /** Instead of the file's `clipNorm`. */
  readonly clip?: Clip
  /** Called inside a scope. */
  batch(of: Pick<At, 'step' | 'samples'>): Batch
  /** In the place of the objective's, where the file holds what is drawn elsewhere. */
  readonly plan?: Objective<Batch, Plan>['plan']
  /** What the file expects as `expected.out.<name>` of the first step: all of these, from the weights that the loss sees. */
  outputs?(weights: Weights, batch: Batch, plan: Plan, at: At): Tensors
  /** Parts of the loss under the file's names; by default the objective's, without their weights. */
  parts?(parts: Readonly<Record<string, number>>): Readonly<Record<string, number>>
}

export interface NetworkRow<Config, Batch, Plan> {
  readonly config: z.ZodType<Config>
  readonly tolerances: Page | ((config: Config) => Page)
  /** What decays where the file does not say it. Default `matrices`. */
  readonly decay?: 'matrices' | 'all'
  open(config: Config, given: Given): Opened<Batch, Plan>
}

const numbersOf = (x: Tensor): ArrayLike<number> =>
  scope(() => {
    const here = toDevice(x, 'cpu')
    return here.dtype === 'float32' ? toFloats(here) : Array.from(toArray(here) as ArrayLike<number>, Number)
  })

/** `student.` and `teacher.` are not in a file's names twice: `weights.` and `teacher.` say it. */
const fileName = (name: string, prefix: string) =>
  name.startsWith(prefix) ? name.slice(prefix.length) : name

/** Where a file keeps the first and the last value of a parameter. */
interface Place {
  readonly first: string
  readonly last: string
  /** What is fixed need not be stated at the end. */
  readonly moves: boolean
}

function placesOf<Batch, Plan>(objective: Objective<Batch, Plan>): Map<string, Place> {
  const own = new Set(objective.rows.map(({ name }) => name))
  return new Map(
    allRows(objective).map(({ name, role = 'learned' }) => {
      const kind = !own.has(name) ? 'teacher' : role === 'state' ? 'state' : 'weights'
      const [first, last, prefix] = {
        teacher: ['teacher.', 'finalTeacher.', 'teacher.'],
        state: ['state.', 'finalState.', ''],
        weights: ['weights.', 'final.', 'student.'],
      }[kind] as [string, string, string]
      const under = fileName(name, prefix)
      return [name, { first: first + under, last: last + under, moves: role !== 'fixed' }]
    }),
  )
}

const inputOf =
  (tensor: Given['tensor'], device: Device): Given['input'] =>
  (name, { step, samples: { indices } }, rank) => {
    const given = tensor(`input.${name}`)
    const all = given.shape.length > rank ? select(given, 0, step) : given
    const some = indices.length === all.shape[0] ? all : narrow(all, 0, indices[0]!, indices.length)
    return toDevice(some, device)
  }

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
interface Trajectory {
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
  readonly steps: number
  readonly microBatches: number
  readonly device: Device
}

function takeSteps<Batch, Plan>({
  opened,
  parameters,
  recipe,
  steps,
  microBatches,
  device,
}: TakeOptions<Batch, Plan>): Trajectory {
  const { samples: rows, groups = [], schedules = {} } = opened
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
  }).map(([name, each]) => [name, inSteps(name, each as ByStep, steps)] as const)
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
    const size = rows / microBatches
    for (let part = 0; part < microBatches; part++)
      open.add(() => {
        const indices = Array.from({ length: size }, (_, i) => part * size + i)
        const samples = { epochs: indices.map(() => step), indices }
        return { batch: opened.batch({ step, samples }), samples }
      })
    const { loss, parts: given } = open.finish()
    losses.push(loss)
    for (const [name, each] of Object.entries(opened.parts?.(given) ?? given))
      parts[name] = [...(parts[name] ?? []), each]
  }
  disposeState(state)
  const final = new Map([...parameters].map(([name, x]) => [name, numbersOf(x)]))
  return { losses, parts, gradients, outputs, final }
}

/** Everything that a file expects, against what its objective gives. */
export const checkNetwork = <Config, Batch, Plan>(
  row: NetworkRow<Config, Batch, Plan>,
  file: string,
  device: Device,
): Checked =>
  scope(() => {
    const { metadata, tensors } = readSafetensors(file)
    const tensor = (name: string): Tensor => {
      const found = tensors.get(name)
      if (!found) throw new SherdError('VALUE', `it has no tensor "${name}"`)
      return found
    }
    const config = parseMetadata(metadata.config, 'config', row.config)
    const opened = row.open(config, { device, tensors, tensor, input: inputOf(tensor, device) })
    const places = placesOf(opened.objective)
    const steps = tensor('expected.losses').shape[0] ?? 0
    const names = new Map([...places].map(([name, { first }]) => [first, name]))
    const recipe = readRecipe(metadata.optimizer, {
      steps,
      nameOf: (name) => names.get(`weights.${name}`) ?? name,
      ...(row.decay && { decay: row.decay }),
    })

    const hasAverages = (opened.objective.averages ?? []).length > 0
    for (const name of tensors.keys())
      if (
        (/^(weights|state)\./.test(name) || (hasAverages && name.startsWith('teacher.'))) &&
        !names.has(name)
      )
        throw new SherdError('VALUE', `it has a weight that the model does not know: "${name}"`)
    const rows = allRows(opened.objective)
    const { first: make, ...others } = opened.objective
    // State that the file leaves out begins as the objective's first step makes it.
    const isMade = ({ name, role }: (typeof rows)[number]) =>
      make !== undefined && role === 'state' && !tensors.has(places.get(name)!.first)
    const objective = (rows.some(isMade) ? opened.objective : others) as Objective<Batch, Plan>
    const load = () =>
      loadParameters(
        rows,
        new Map(
          rows.map((each) => [
            each.name,
            isMade(each) ? full(each.shape, 0) : tensor(places.get(each.name)!.first),
          ]),
        ),
        device,
      )
    const take = (microBatches: number): Trajectory => {
      const parameters = load()
      const taken = takeSteps({
        opened: { ...opened, objective },
        ...{ parameters, recipe, steps, microBatches, device },
      })
      disposeAll(parameters)
      return taken
    }

    const isFirstFormat = metadata.format === 'sherd-reference/1'
    const page = typeof row.tolerances === 'string' ? row.tolerances : row.tolerances(config)
    const greatest = [...tensors].map(([name, x]) =>
      name.startsWith('expected.grad.') ? greatestOf(numbersOf(x)) : 0,
    )
    const facts: Facts = { rates: recipe.learningRates, greatestGradient: Math.max(0, ...greatest) }
    const checks: Check[] = []
    const left = new Set([...tensors.keys()].filter((name) => name.startsWith('expected.')))
    const check = (name: string, actual: ArrayLike<number>, prefix = '') => {
      const expected = tensor(`expected.${name}`)
      left.delete(`expected.${name}`)
      if (!name.startsWith('out.')) toFloats(expected) // integers are expected of outputs only
      const wanted = { data: numbersOf(expected), shape: expected.shape }
      const bound = expected.dtype === 'float32' ? boundOf(page, name, facts) : { tolerance: 0 }
      checks.push(compare(prefix + name, actual, wanted, bound))
    }
    /** One for each step, or that of the first. */
    const checkSteps = (name: string, values: readonly number[], prefix: string) =>
      check(name, tensor(`expected.${name}`).shape.length === 0 ? values.slice(0, 1) : values, prefix)
    const checkGradient = (name: string, found: ArrayLike<number> | null, prefix: string) => {
      const key = `grad.${places.get(name)!.first.slice('weights.'.length)}`
      if (tensors.has(`expected.${key}`)) {
        const { shape } = tensor(`expected.${key}`)
        // Not reached is stored as zeros, too.
        check(key, found ?? new Float32Array(shape.reduce((a, b) => a * b, 1)), prefix)
      } else if (found !== null && greatestOf(found) > 0) {
        const wrong = `there is a gradient, the greatest ${greatestOf(found)}, expected none`
        const none = { tolerance: 0, isRelative: false, passed: false }
        checks.push({ name: prefix + key, largestDifference: greatestOf(found), ...none, wrong })
      }
    }
    const checkTrajectory = ({ losses, parts, gradients, outputs, final }: Trajectory, prefix = '') => {
      for (const [name, values] of outputs) check(isFirstFormat ? name : `out.${name}`, values, prefix)
      checkSteps('loss', losses, prefix)
      for (const [name, values] of Object.entries(parts))
        if (tensors.has(`expected.part.${name}`)) checkSteps(`part.${name}`, values, prefix)
      for (const [name, found] of gradients) checkGradient(name, found, prefix)
      check('losses', losses, prefix)
      for (const [name, { last, moves }] of places)
        if (moves || tensors.has(`expected.${last}`)) check(last, final.get(name)!, prefix)
    }

    checkTrajectory(take(1))
    if (opened.microBatches) checkTrajectory(take(opened.microBatches), 'microBatches.')
    const notSupported: string[] = []
    for (const name of left) {
      if (!name.startsWith('expected.out.'))
        throw new SherdError('VALUE', `it has a tensor that belongs to nothing: "${name}"`)
      notSupported.push(`output "${name.slice('expected.out.'.length)}"`)
    }
    return { checks, notSupported }
  })
