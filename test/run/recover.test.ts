import { describe, expect, it } from 'vitest'
import { listCheckpoints, saveCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { openRun } from '../../src/checkpoint/run-folder.ts'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { objectiveOf } from '../../src/config/assemble.ts'
import { allRows } from '../../src/objective/averages.ts'
import type { Average } from '../../src/objective/objective.ts'
import { optimizerOf } from '../../src/optim/optimizers.ts'
import { type RunState, recover, rollBack } from '../../src/run/recover.ts'
import { add, full } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { type Stepping, stepOnce, trainee } from '../objective/conformance.ts'
import { rows as conforming } from '../objective/conformance-rows.ts'
import { type ToyPlan, type TwoViews, toyObjective } from '../objective/toy.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'
import { numbers } from '../tolerance.ts'
import { run, sampleFolder, tinyConfig, workFolder } from './tiny.ts'

const optimizer = optimizerOf({ optimizer: 'adamw', beta1: 0.9, beta2: 0.95, epsilon: 1e-8 })
const objective = toyObjective()
const start = { ...{ rows: allRows(objective), optimizer, seed: 11 }, device: 'cpu' } as const
const { batch } = conforming['an objective that has everything'] as unknown as Stepping<TwoViews, ToyPlan>

const open = async (dir: string, over: object = {}) => (await recover(dir, { ...start, ...over })).training
/** Takes steps up to `to`, with a checkpoint in `dir` after each that `every` divides. */
function steps(training: RunState, to: number, dir?: string, every = 2): void {
  const { parameters, optimizer: state } = training
  const trained = { ...trainee(objective as never, optimizer), parameters, state }
  for (; training.step < to; ) {
    expect(stepOnce({ trained, batch, learningRate: 3e-3 } as never, { step: training.step }).isFinite).toBe(
      true,
    )
    training.step++
    if (dir && training.step % every === 0) saveCheckpoint(dir, training, { keep: 9 })
  }
}
/** Weights, averages, state, moments and counts. */
const all = ({ parameters, optimizer: { steps: counts, slots } }: RunState) => ({
  parameters: [...parameters].map(([name, x]) => [name, numbers(x)]),
  slots: Object.entries(slots).map(([slot, own]) => [slot, [...own].map(([name, x]) => [name, numbers(x)])]),
  counts: [...counts],
})

describe('an objective with averages, state and a frozen layer', () => {
  it('goes back to a checkpoint, or to the beginning, with all of them, in the same tensors', async () => {
    const dir = temporaryFolder()
    const training = await open(dir)
    const fresh = all(training)
    const tensors = [...training.parameters.values()]
    steps(training, 2, dir)
    const two = all(training)
    steps(training, 5, dir)
    const options = { ...{ dir, training, start }, everySteps: 2, maxRollbacks: 3 }
    expect(await rollBack({ ...options, lostAt: 5 })).toMatchObject({
      isPossible: true,
      checkpoint: { step: 2 },
    })
    expect([training.step, training.rollbacks]).toEqual([2, 1])
    expect(all(training)).toEqual(two)
    expect([...training.parameters.values()]).toEqual(tensors)
    expect(listCheckpoints(dir).map(({ step }) => step)).toEqual([2])
    expect(all(await open(dir))).toEqual(two)
    steps(training, 4)
    const straight = await open(temporaryFolder())
    steps(straight, 4)
    expect(all(training)).toEqual(all(straight)) // the frozen layer has its own count, the teacher its own weights
    expect(await rollBack({ ...options, everySteps: 99, lostAt: 5 })).toMatchObject({ checkpoint: null })
    expect(all(training)).toEqual(fresh)
    steps(training, 2) // k-means begins the codebook again
    expect(all(training)).toEqual(two)
  })

  it('begins averages as copies of weights that are given', async () => {
    const given = () => new Map([['student.projector.bias', full([8], 0.25)]])
    const { parameters } = await open(temporaryFolder(), { given: async () => given })
    expect(numbers(parameters.get('momentum.projector.bias')!)).toEqual(Array(8).fill(0.25))
    const [own, copy] = ['student', 'teacher'].map((prefix) => parameters.get(`${prefix}.cls_token`)!)
    expect(numbers(copy!)).toEqual(numbers(own!))
  })
})

describe('a run of an objective with averages, schedules and state', () => {
  const averages: readonly Average[] = [
    { prefix: 'early.', from: '', momentum: 'momentum', when: 'before-loss' },
    { prefix: 'late.', from: 'decoder', momentum: 'momentum', when: 'after-step' },
  ]
  const withMore: typeof objectiveOf = (config, device) => {
    const own = objectiveOf(config, device)
    return {
      ...own,
      averages: averages as never,
      rows: [...own.rows, { name: 'seen', shape: [2], initial: 'zeros', role: 'state' }],
      schedules: { momentum: { kind: 'cosine', from: 0.5, to: 1 } } as never,
      update: (weights, _, { step, samples }) => ({
        seen: scope(() => add(weights('seen'), tensor([step + 1, samples.indices.length], [2]))),
      }),
    }
  }
  it('has the values of its schedules in its steps and lines, and resumes to the same bytes', async () => {
    const data = await sampleFolder()
    const config = tinyConfig({
      train: { steps: 4, accumulate: 2 },
      ...{ checkpoint: { everySteps: 2 }, log: { everySteps: 1 } },
    })
    const [straight, halved] = [`${await workFolder()}/a`, `${await workFolder()}/b`]
    const given = { config, data, objectiveOf: withMore }
    const events = await run({ ...given, out: straight })
    const momenta = events.flatMap((each) => (each.kind === 'step' ? [each.schedules.momentum] : []))
    expect(momenta).toEqual([0, 1, 2, 3].map((step) => 1 - 0.25 * (1 + Math.cos((Math.PI * step) / 4))))
    await run({ ...given, out: halved }, (event) => event.kind === 'checkpoint')
    await run({ ...given, data: undefined, out: halved, resume: true })
    const [a, b] = [straight, halved].map((out) =>
      ['model', 'optimizer'].map((file) => {
        const { tensors } = readSafetensors(`${openRun(out).latest!.path}/${file}.safetensors`)
        return [...tensors].map(([name, x]) => [name, numbers(x)] as const)
      }),
    )
    expect(b).toEqual(a)
    const weights = new Map(a![0])
    expect(weights.get('seen')).toEqual([1 + 2 + 3 + 4, 4 * 16])
    const farthest = (prefix: string, from: string) =>
      [...weights]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, x]) => {
          const own = weights.get(from + name.slice(prefix.length))!
          return x.reduce((most, value, i) => Math.max(most, Math.abs(value - own[i]!)), 0)
        })
    const [early, late] = [farthest('early.', ''), farthest('late.', 'decoder')]
    expect([early.length, late.length].every((count) => count > 4)).toBe(true)
    expect([...early, ...late].every((x) => x < 0.2)).toBe(true)
    expect(Math.max(...early)).toBeGreaterThan(1e-4) // they follow, and are not the weights
  })
})
