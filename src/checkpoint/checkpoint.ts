/**
 * Checkpoints: a folder per step, written under a temporary name and renamed once it is on the disk, so that a checkpoint is complete
 * or absent. Random draws are addressed, not consumed, so weights, optimizer state and a few counters suffice.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { messageOf, SherdError } from '../errors.ts'
import { whyNotWritten, writing } from '../files/cannot-write.ts'
import { brokenSeal, flush, isDamage } from '../files/durable.ts'
import { readRegular } from '../files/regular-file.ts'
import { learnedIn, loadParameters, type ParameterRow, type Parameters } from '../model/parameters.ts'
import type { OptimizerState } from '../optim/optimizer.ts'
import { scope } from '../tensor/scope.ts'
import type { Device } from '../tensor/tensor.ts'
import { loadOptimizer, writeOptimizer } from './optimizer-file.ts'
import { isExpired, type Keeping, listCheckpoints, removeCheckpoint, tidy } from './retention.ts'
import { readSafetensors, writeSafetensors } from './safetensors.ts'

export type { Keeping } from './retention.ts'
export { listCheckpoints } from './retention.ts'

const names = { weights: 'model.safetensors', moments: 'optimizer.safetensors', state: 'state.json' } as const

const FORMAT = 'sherd-checkpoint/2'
const MOST_STATE = 1 << 20 // bytes of state.json, which usually has less than 1000
const count = z.number().int().min(0)
const seal = z.strictObject({ bytes: count, sha256: z.string().regex(/^[0-9a-f]{64}$/u) })
const stateSchema = z.strictObject({
  format: z.literal(FORMAT),
  /** Optimizer steps taken, skipped ones included. */
  step: count,
  /** Samples consumed. */
  samples: count,
  /** Steps skipped for a non-finite loss or gradient. */
  skippedSteps: count,
  /** Number of rollbacks to a checkpoint. */
  rollbacks: count,
  files: z.strictObject({ [names.weights]: seal, [names.moments]: seal }),
})
type State = z.infer<typeof stateSchema>

export interface Training {
  readonly parameters: Parameters
  readonly optimizer: OptimizerState
  readonly step: number
  readonly samples: number
  readonly skippedSteps?: number
  readonly rollbacks?: number
}

const folderName = (step: number) => `step-${String(step).padStart(8, '0')}`

/** `state.json` contains its own checksum. */
function stateText(state: State): string {
  const sha256 = createHash('sha256').update(JSON.stringify(state)).digest('hex')
  return `${JSON.stringify({ ...state, sha256 }, null, 2)}\n`
}

/**
 * A checkpoint renamed to a later step would resume from its own step, and new checkpoints would count as older and be removed. It is not
 * damaged, so it is not set aside. Throws `RUN`.
 */
function expectOwnName(path: string, step: number): void {
  const name = basename(path)
  if (!/^step-\d+$/.test(name) || name === folderName(step)) return
  throw new SherdError(
    'RUN',
    `${path} holds the checkpoint of step ${step}: rename it to ${folderName(step)}, or move it out of the run.`,
  )
}

/** Throws for damage; `RUN` if another version wrote it or it may not be read. */
function readState(path: string): State {
  const file = join(path, names.state)
  let text: string
  try {
    text = readRegular(file, MOST_STATE)
  } catch (error) {
    if (isDamage(error)) throw error
    throw new SherdError('RUN', `Cannot read ${file}: ${messageOf(error)}. Fix that; nothing was changed.`, {
      cause: error,
    })
  }
  const { sha256, ...rest } = z
    .looseObject({ sha256: z.string().optional(), format: z.unknown() })
    .parse(JSON.parse(text))
  if (
    typeof rest.format === 'string' &&
    /^sherd-checkpoint\/\d+$/u.test(rest.format) &&
    rest.format !== FORMAT
  )
    throw new SherdError(
      'RUN',
      `${path} is of the format ${rest.format}; this version of sherd reads ${FORMAT}. Go on with the version that wrote it.`,
    )
  const state = stateSchema.parse(rest)
  const own = createHash('sha256').update(JSON.stringify(state)).digest('hex')
  if (sha256 !== own) throw new Error(`${names.state} holds other values than were written`)
  expectOwnName(path, state.step)
  return state
}

/**
 * Writes a checkpoint below `dir`, removes expired ones, and returns its path. `metadata` goes into the file of weights, so that it can be
 * used alone. Throws `RUN` if it cannot be written; earlier checkpoints are then unchanged.
 */
export function saveCheckpoint(
  dir: string,
  training: Training,
  keeping: Keeping,
  metadata: Readonly<Record<string, string>> = {},
): string {
  const name = folderName(training.step)
  const path = join(dir, name)
  const unfinished = join(dir, `.writing-${name}`)
  try {
    mkdirSync(dir, { recursive: true })
    tidy(dir)
    mkdirSync(unfinished)
    writing(unfinished, bytesOf(training), () => writeInto(unfinished, training, metadata))
    replaceFolder(unfinished, path, join(dir, `.replaced-${name}`))
    flush(dir)
    const all = listCheckpoints(dir)
    for (const old of all) if (isExpired(old.step, all, keeping)) removeCheckpoint(old.path)
  } catch (error) {
    tidyIfPossible(dir)
    if (error instanceof SherdError) throw error
    const last = listCheckpoints(dir).at(-1)
    const left = last ? `The latest one is whole: ${last.path}.` : 'There is no earlier one.'
    const why = whyNotWritten(path, error, 'continue with --resume').replace(/(?<!\.)$/, '.')
    throw new SherdError('RUN', `Cannot write the checkpoint ${path}: ${why} ${left}`, { cause: error })
  }
  return path
}

/** After a failure; the next save tries again. */
function tidyIfPossible(dir: string): void {
  try {
    tidy(dir)
  } catch {
    // the original failure is reported
  }
}

/** Of the tensors in float32. */
function bytesOf({ parameters, optimizer }: Training): number {
  const all = [parameters, ...Object.values(optimizer.slots)].flatMap((each) => [...each.values()])
  return all.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 4), 0)
}

function writeInto(
  folder: string,
  { parameters, optimizer, step, samples, skippedSteps = 0, rollbacks = 0 }: Training,
  metadata: Readonly<Record<string, string>>,
): void {
  const about = { ...metadata, format: 'pt', step: String(step) }
  const files = {
    [names.weights]: writeSafetensors(join(folder, names.weights), parameters, about),
    [names.moments]: writeOptimizer(join(folder, names.moments), optimizer),
  } as State['files']
  const state: State = { format: FORMAT, step, samples, skippedSteps, rollbacks, files }
  writeFileSync(join(folder, names.state), stateText(state), { flush: true })
  flush(folder)
}

/** Replaces `to` by `from`. At every moment one of them exists, or `tidy` can restore one. */
function replaceFolder(from: string, to: string, aside: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    renameSync(to, aside)
    renameSync(from, to)
    rmSync(aside, { recursive: true, force: true })
  }
}

/**
 * How a checkpoint is damaged, or null. `files`: those to check; default all. Throws `RUN` if another version wrote it or it may not be
 * read.
 */
export function damageOf(
  path: string,
  files: readonly (keyof State['files'])[] = [names.weights, names.moments],
): string | null {
  let state: State
  try {
    state = readState(path)
  } catch (error) {
    if (error instanceof SherdError) throw error
    return notOurs(error)
  }
  for (const name of files) {
    const broken = brokenSeal(join(path, name), state.files[name])
    if (broken) return `${name} ${broken}`
  }
  return null
}

const notOurs = (error: unknown) =>
  `it is not a checkpoint of this version of sherd: ${error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)}`

export interface Whole {
  /** The latest intact checkpoint, or null. */
  readonly checkpoint: { readonly step: number; readonly path: string } | null
  /** Later ones that are damaged. */
  readonly damaged: readonly { readonly path: string; readonly reason: string }[]
}

/** Finds the latest intact checkpoint by the checksums of `files`. */
export function latestWhole(dir: string, files?: readonly (keyof State['files'])[]): Whole {
  const damaged: { path: string; reason: string }[] = []
  for (const checkpoint of listCheckpoints(dir).reverse()) {
    const reason = damageOf(checkpoint.path, files)
    if (reason === null) return { checkpoint, damaged }
    damaged.push({ path: checkpoint.path, reason })
  }
  return { checkpoint: null, damaged }
}

/** The weights of a checkpoint folder, checked against the model's rows. */
export function loadWeights(path: string, rows: readonly ParameterRow[], device: Device): Parameters {
  return scope(() => loadParameters(rows, readSafetensors(join(path, names.weights)).tensors, device))
}

/**
 * Reads a checkpoint. `slots`: of the optimizer that continues; default: those of the file. Throws `CHECKPOINT` with the file and the
 * reason.
 */
export function loadCheckpoint(
  path: string,
  rows: readonly ParameterRow[],
  device: Device,
  slots?: readonly string[],
): Required<Training> {
  let state: State
  try {
    state = readState(path)
  } catch (error) {
    if (error instanceof SherdError) throw error
    throw new SherdError('CHECKPOINT', `${path}: ${notOurs(error)}`, { cause: error })
  }
  const parameters = loadWeights(path, rows, device)
  const { step, samples, skippedSteps, rollbacks } = state
  const optimizer = loadOptimizer(join(path, names.moments), learnedIn(rows, parameters), device, slots)
  return { parameters, optimizer, step, samples, skippedSteps, rollbacks }
}
