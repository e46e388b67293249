/**
 * Checkpoints: a folder a step, written under a temporary name and renamed when every byte is on the disk, so that a
 * checkpoint is whole or absent. Draws are addressed, not consumed, so weights, optimizer and step number are all of it.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { messageOf, SherdError } from '../errors.ts'
import { loadParameters, type ParameterRow, type Parameters } from '../model/parameters.ts'
import type { AdamWState } from '../optim/adamw.ts'
import { toDevice } from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import { readSafetensors, writeSafetensors } from './safetensors.ts'

const stateSchema = z.strictObject({
  format: z.literal('sherd-checkpoint/1'),
  /** Optimizer steps taken. */
  step: z.number().int().min(0),
  /** Samples consumed. */
  samples: z.number().int().min(0),
})

export interface Training {
  readonly parameters: Parameters
  readonly optimizer: AdamWState
  readonly step: number
  readonly samples: number
}

const folderName = (step: number) => `step-${String(step).padStart(8, '0')}`

function fsyncPath(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** The checkpoints of a run, oldest first. What was interrupted while it was written is not among them. */
export function listCheckpoints(dir: string): { step: number; path: string }[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir)
    .flatMap((name) => {
      const step = name.match(/^step-(\d{8,})$/)?.[1]
      return step ? [{ step: Number(step), path: join(dir, name) }] : []
    })
    .sort((a, b) => a.step - b.step)
}

/**
 * Writes a checkpoint below `dir` and removes all but the latest `keep`. Returns its path. `metadata` goes into the file of
 * weights, for whoever finds it alone.
 */
export function saveCheckpoint(
  dir: string,
  { parameters, optimizer, step, samples }: Training,
  keep: number,
  metadata: Readonly<Record<string, string>> = {},
): string {
  mkdirSync(dir, { recursive: true })
  const path = join(dir, folderName(step))
  const writing = join(dir, `.writing-${folderName(step)}`)
  for (const name of readdirSync(dir)) // what an interrupted write has left
    if (name.startsWith('.writing-')) rmSync(join(dir, name), { recursive: true, force: true })
  mkdirSync(writing)
  const moments = new Map<string, Tensor>()
  for (const [name, moment] of optimizer.first) moments.set(`exp_avg.${name}`, moment)
  for (const [name, moment] of optimizer.second) moments.set(`exp_avg_sq.${name}`, moment)
  writeSafetensors(join(writing, 'model.safetensors'), parameters, {
    ...{ ...metadata, format: 'pt', step: String(step) },
  })
  writeSafetensors(join(writing, 'optimizer.safetensors'), moments, { step: String(optimizer.step) })
  const state: z.infer<typeof stateSchema> = { format: 'sherd-checkpoint/1', step, samples }
  writeFileSync(join(writing, 'state.json'), `${JSON.stringify(state, null, 2)}\n`, { flush: true })
  fsyncPath(writing)
  rmSync(path, { recursive: true, force: true })
  renameSync(writing, path)
  fsyncPath(dir)
  for (const old of listCheckpoints(dir).slice(0, -keep)) rmSync(old.path, { recursive: true, force: true })
  return path
}

/** The weights of a checkpoint folder, checked against the model's rows. */
export function loadWeights(path: string, rows: readonly ParameterRow[], device: Device): Parameters {
  return scope(() => loadParameters(rows, readSafetensors(join(path, 'model.safetensors')).tensors, device))
}

function loadMoments(path: string, parameters: Parameters, step: number, device: Device): AdamWState {
  const load = () => {
    const { tensors } = readSafetensors(join(path, 'optimizer.safetensors'))
    const pick = (kind: string) =>
      new Map(
        [...parameters].map(([name, parameter]) => {
          const found = tensors.get(`${kind}.${name}`)
          if (found?.dtype !== 'float32' || found.shape.join() !== parameter.shape.join()) {
            throw new SherdError(
              'CHECKPOINT',
              `${path}: ${kind} of "${name}" is ${found ?? 'missing'}, expected ${parameter}`,
            )
          }
          return [name, toDevice(found, device)] as const
        }),
      )
    return { step, first: pick('exp_avg'), second: pick('exp_avg_sq') }
  }
  return unscoped(() => scope(load)) // what is returned outlives every scope, the CPU copies of a GPU run do not
}

/** Reads a whole checkpoint. Throws `CHECKPOINT` naming the file and what is wrong with it. */
export function loadCheckpoint(path: string, rows: readonly ParameterRow[], device: Device): Training {
  let state: z.infer<typeof stateSchema>
  try {
    state = stateSchema.parse(JSON.parse(readFileSync(join(path, 'state.json'), 'utf8')))
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)
    throw new SherdError('CHECKPOINT', `${path} is not a checkpoint of this version of sherd: ${why}`, {
      cause: error,
    })
  }
  const parameters = loadWeights(path, rows, device)
  const { step, samples } = state
  return { parameters, optimizer: loadMoments(path, parameters, step, device), step, samples }
}
