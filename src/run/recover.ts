/** The state of a run: from the latest intact checkpoint, or fresh; and rollbacks. */
import { existsSync } from 'node:fs'
import { damageOf, latestWhole, loadCheckpoint, type Training } from '../checkpoint/checkpoint.ts'
import { type Listed, listCheckpoints, removeCheckpoint, setAside, tidy } from '../checkpoint/retention.ts'
import { SherdError } from '../errors.ts'
import { initialParameters, learnedIn, type ParameterRow, type Parameters } from '../model/parameters.ts'
import { copyState, disposeState, initialState, type Optimizer } from '../optim/optimizer.ts'
import { draws } from '../random/draws.ts'
import { callInPlace } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { scope } from '../tensor/scope.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'

/**
 * Parameters, optimizer state and counters of a run, owned by the loop. The tensors are the same for the whole run; a rollback writes into
 * them.
 */
export interface RunState extends Training {
  step: number
  samples: number
  skippedSteps: number
  rollbacks: number
  /** Consecutive non-finite steps. */
  inARow: number
  /** The step of the last rollback, whose checkpoint is known to be good; −1 if none. */
  proven: number
}

export interface Start {
  readonly rows: readonly ParameterRow[]
  readonly optimizer: Pick<Optimizer, 'slots'>
  readonly seed: number
  readonly device: Device
  /** Reads given initial values; what it resolves to makes their tensors, inside a scope. */
  readonly given?: () => Promise<() => ReadonlyMap<string, Tensor>>
}

async function fresh({ rows, optimizer, seed, device, given }: Start): Promise<Required<Training>> {
  const make = await given?.()
  const parameters = initialParameters(rows, { seed, device })
  if (make)
    noGrad(() =>
      scope(() => {
        const values = make()
        for (const [name, value] of values) callInPlace('copy_', parameters.get(name)!, value)
        for (const { name, initial } of rows) // a teacher starts as its student
          if (typeof initial === 'object' && 'copyOf' in initial && !values.has(name))
            callInPlace('copy_', parameters.get(name)!, parameters.get(initial.copyOf)!)
      }),
    )
  return {
    parameters,
    optimizer: initialState(optimizer, learnedIn(rows, parameters)),
    step: 0,
    samples: 0,
    skippedSteps: 0,
    rollbacks: 0,
  }
}

const load = (path: string, { rows, device, optimizer }: Start) =>
  loadCheckpoint(path, rows, device, optimizer.slots)

export interface Recovered {
  readonly training: RunState
  readonly checkpoint: Listed | null
  /** Damaged checkpoints, with their new paths. */
  readonly damaged: readonly { readonly path: string; readonly reason: string }[]
}

/** The state of a new run. */
export const begun = async (start: Start): Promise<Recovered> => ({
  training: { ...(await fresh(start)), inARow: 0, proven: -1 },
  checkpoint: null,
  damaged: [],
})

/** The state of a run that continues. Renames damaged checkpoints, and removes the remains of an interrupted save. */
export async function recover(dir: string, start: Start): Promise<Recovered> {
  if (existsSync(dir)) tidy(dir)
  const { checkpoint, damaged } = latestWhole(dir)
  if (!checkpoint && damaged.length > 0)
    throw new SherdError(
      'RUN',
      `No checkpoint of ${dir} can be used:\n${damaged.map(({ path, reason }) => `  ${path}: ${reason}`).join('\n')}\nRestore one, or begin a new run.`,
    )
  const aside = damaged.map(({ path, reason }) => ({ path: setAside(path), reason }))
  if (!checkpoint) return begun(start)
  return { training: { ...load(checkpoint.path, start), inARow: 0, proven: -1 }, checkpoint, damaged: aside }
}

/** The seed of the order of samples: another one after each rollback. */
export const orderSeed = (seed: number, rollbacks: number): number =>
  rollbacks === 0 ? seed : draws({ seed, stream: 'rollback', epoch: 0, index: rollbacks }).below(2 ** 32)

function copyInto(to: Parameters, from: Parameters): void {
  noGrad(() => {
    for (const [name, value] of to) callInPlace('copy_', value, from.get(name)!)
  })
  for (const each of from.values()) each.dispose()
}

/** Puts `training` back to the beginning of the run. */
export async function beginAgain(training: RunState, start: Start): Promise<void> {
  const { parameters, optimizer, ...counts } = await fresh(start)
  copyInto(training.parameters, parameters)
  copyState(training.optimizer, optimizer)
  disposeState(optimizer)
  Object.assign(training, { ...counts, inARow: 0, proven: -1 })
}

export interface RollBackOptions {
  readonly dir: string
  readonly training: RunState
  readonly start: Start
  /** The first step in a row that was not finite. */
  readonly lostAt: number
  /** How often a checkpoint is due. Others are not gone back to: whether there are any depends on who stopped the run, or on the clock. */
  readonly everySteps: number
  readonly maxRollbacks: number
}

/** The latest one before the trouble that is whole; damaged ones are set aside. */
function goodCheckpoint({ dir, training, lostAt, everySteps }: RollBackOptions): Listed | null {
  const latest = Math.max(lostAt - 2, training.proven)
  const candidates = listCheckpoints(dir).filter(({ step }) => step <= latest && step % everySteps === 0)
  for (const each of candidates.reverse()) {
    if (damageOf(each.path) === null) return each
    setAside(each.path)
  }
  return null
}

export type RolledBack =
  | { readonly isPossible: true; readonly checkpoint: Listed | null }
  | { readonly isPossible: false; readonly message: string }

/**
 * Puts `training` back to the last good checkpoint, or to the beginning, with another order of samples. A checkpoint is good when a
 * finite step came after it: the weights of the step before the trouble are what gave it. Later ones are removed, or set aside where no
 * other is left. Not possible when the run went back to the same place `maxRollbacks` times.
 */
export async function rollBack(options: RollBackOptions): Promise<RolledBack> {
  const { dir, training, start, maxRollbacks } = options
  const good = goodCheckpoint(options)
  const all = listCheckpoints(dir)
  const loaded = good ? load(good.path, start) : await fresh(start)
  const rollbacks = training.rollbacks + 1
  if (rollbacks - loaded.rollbacks > maxRollbacks) {
    const place = good ? `The last good checkpoint is ${good.path}.` : 'There is no good checkpoint yet.'
    const times =
      maxRollbacks === 0
        ? ''
        : ` The run went back there ${maxRollbacks} times, each time on in another order.`
    for (const each of loaded.parameters.values()) each.dispose()
    disposeState(loaded.optimizer)
    return { isPossible: false, message: `${place}${times}` }
  }
  for (const { path } of all.filter(({ step }) => step > loaded.step))
    if (good) removeCheckpoint(path)
    else setAside(path, 'suspect')
  copyInto(training.parameters, loaded.parameters)
  copyState(training.optimizer, loaded.optimizer)
  disposeState(loaded.optimizer)
  const { step, samples } = loaded
  Object.assign(training, { step, samples, rollbacks, inARow: 0, proven: step })
  return { isPossible: true, checkpoint: good }
}
