/** Reference files of schedules: a method's rate, decay, momentum and temperatures by iteration. */
import { z } from 'zod'
import { SherdError } from '../errors.ts'
import { groupsAt } from '../optim/groups.ts'
import { rateScalings, type Schedule, valueAt, type When } from '../optim/schedule.ts'
import { type Check, compare } from './check.ts'
import { arrayOf, type Checked, readCase, readOperatorFile } from './operator-file.ts'
import { boundOf } from './tolerances.ts'

const rate = z.number().min(0)
const epochs = z.number().min(0).max(1e6)
const caseSchema = z.object({
  learningRate: rate,
  batch: z.number().positive(),
  minimumRate: rate.default(0),
  epochs: z.int().min(1).max(1e5),
  stepsPerEpoch: z.int().min(1).max(1e5),
  warmupEpochs: epochs.default(0),
  weightDecay: rate.optional(),
  finalWeightDecay: rate.optional(),
  momentum: rate.optional(),
  finalMomentum: rate.default(1),
  warmupTeacherTemperature: rate.optional(),
  teacherTemperature: rate.optional(),
  warmupPatchTemperature: rate.optional(),
  patchTemperature: rate.optional(),
  temperatureWarmupEpochs: epochs.optional(),
  maskStartEpoch: epochs.default(0),
  freezeEpochs: epochs.optional(),
})
type Case = z.infer<typeof caseSchema>

/** How a method counts: by what its rate grows with the batch, when warm-ups arrive, how often a temperature changes. */
interface Method {
  readonly scaling: keyof typeof rateScalings
  readonly arrival: 'last' | 'after'
  readonly temperatureBy: 'step' | 'epoch'
}
const methods: Readonly<Record<string, Method>> = {
  dino: { scaling: 'linear', arrival: 'last', temperatureBy: 'epoch' },
  ibot: { scaling: 'linear', arrival: 'last', temperatureBy: 'epoch' },
  dinov2: { scaling: 'root', arrival: 'last', temperatureBy: 'step' },
  mocov3: { scaling: 'linear', arrival: 'after', temperatureBy: 'step' },
  mae: { scaling: 'linear', arrival: 'after', temperatureBy: 'step' },
}

type Column = (when: When) => number

/** The columns that a method has, by name; those whose options a case lacks throw when they are asked for. */
function columnsOf(name: string, { scaling, arrival, temperatureBy }: Method, options: Case) {
  const needed = (key: keyof Case): number => {
    const value = options[key]
    if (value === undefined) throw new SherdError('VALUE', `its case "${name}" has no "${key}"`)
    return value
  }
  const by =
    (schedule: Schedule): Column =>
    (when) =>
      valueAt(schedule, when)
  const cosine = (from: number, to: number) => ({ kind: 'cosine', from, to }) as const
  const temperature = (from: keyof Case, to: keyof Case, delay: number): Schedule => ({
    ...{ kind: 'linear', from: needed(from), to: needed(to), arrival: 'last', by: temperatureBy },
    ...{ over: { epochs: needed('temperatureWarmupEpochs') }, delay: { epochs: delay } },
  })
  const learningRate: Schedule = {
    ...cosine(rateScalings[scaling](options.learningRate, options.batch), options.minimumRate),
    ...{ warmup: { epochs: options.warmupEpochs }, arrival },
  }
  const frozenUntil = () => ({ epochs: needed('freezeEpochs') })
  const columns: Readonly<Record<string, () => Column>> = {
    learningRate: () => by(learningRate),
    weightDecay: () => by(cosine(needed('weightDecay'), needed('finalWeightDecay'))),
    momentum: () => by(cosine(needed('momentum'), options.finalMomentum)),
    teacherTemperature: () => by(temperature('warmupTeacherTemperature', 'teacherTemperature', 0)),
    patchTemperature: () =>
      by(temperature('warmupPatchTemperature', 'patchTemperature', options.maskStartEpoch)),
    lastLayerFrozen: () => by({ kind: 'steps', values: [1, 0], at: [frozenUntil()] }),
    lastLayerRate: () => {
      const rows = [{ match: /./, frozenUntil: frozenUntil(), frozen: 'zero-rate' }] as const
      return (when) => {
        const rates = { ...when, learningRate: valueAt(learningRate, when), weightDecay: 0 }
        return groupsAt([['last_layer', { shape: [1, 1] }]], rows, rates).ratesOf('last_layer').rate
      }
    },
  }
  return columns
}

export function checkSchedules(file: string): Checked {
  const { cases, tensors } = readOperatorFile(file)
  const checks: Check[] = []
  const notSupported: string[] = []
  const expected = new Set([...tensors.keys()].filter((name) => name.startsWith('expected.')))
  for (const [name, options] of cases) {
    const prefix = `expected.out.${name}.`
    const own = [...expected].filter(
      (key) => key.startsWith(prefix) && !key.slice(prefix.length).includes('.'),
    )
    if (own.length === 0) throw new SherdError('VALUE', `it has no tensor "${prefix}…"`)
    for (const key of own) expected.delete(key)
    const method = name.split('.')[0]!
    if (!Object.hasOwn(methods, method)) {
      notSupported.push(`case "${name}": method "${method}"`)
      continue
    }
    const settings = readCase(name, options, caseSchema)
    const columns = columnsOf(name, methods[method]!, settings)
    const { stepsPerEpoch } = settings
    const totalSteps = settings.epochs * stepsPerEpoch
    for (const key of own) {
      const column = key.slice(prefix.length)
      if (!Object.hasOwn(columns, column)) {
        notSupported.push(`case "${name}": column "${column}"`)
        continue
      }
      const valueBefore = columns[column]!()
      const values = Array.from({ length: totalSteps }, (_, step) =>
        valueBefore({ step, epoch: Math.floor(step / stepsPerEpoch), stepsPerEpoch, totalSteps }),
      )
      const wanted = arrayOf(tensors, key, 'float32')
      checks.push(compare(key.slice('expected.'.length), values, wanted, boundOf('schedules', `out.${name}`)))
    }
  }
  const [lost] = expected
  if (lost !== undefined) throw new SherdError('VALUE', `it has a tensor that belongs to no case: "${lost}"`)
  return { checks, notSupported }
}
