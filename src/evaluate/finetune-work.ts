/**
 * What fine-tuning keeps while it works, to continue from there: of the seed that learns a checkpoint and the best weights so far, of seeds
 * that are done their scores.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { StoredArray } from '../checkpoint/arrays.ts'
import { latestWhole, loadCheckpoint, saveCheckpoint, type Training } from '../checkpoint/checkpoint.ts'
import { readArrays, readSafetensorsHeader } from '../checkpoint/safetensors.ts'
import { writeWeights } from '../checkpoint/weights-file.ts'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import type { ParameterRow } from '../model/parameters.ts'
import type { Device } from '../tensor/tensor.ts'
import type { Scores } from './scores.ts'

export interface Attempt {
  readonly last: Scores
  readonly averaged: Scores | null
  /** Of the epoch that was best on the validation images; its weights are the averaged ones where there are. */
  readonly best: { readonly epoch: number; readonly scores: Scores } | null
  /** Top-1 on the validation images after each epoch. */
  readonly validated: readonly number[]
  readonly skipped: number
  readonly trainImages: number
  readonly seconds: number
}

/** The scores of the weights that count. */
export const countingScores = ({ best, averaged, last }: Attempt): Scores => best?.scores ?? averaged ?? last

/** The weights of the epoch that was best on the validation images, on the CPU. */
export interface Best {
  readonly epoch: number
  /** Top-1 on the validation images. */
  readonly validation: number
  readonly parameters: ReadonlyMap<string, StoredArray>
}

/** Of an attempt that is under way, besides weights and optimizer. */
export interface AttemptState {
  readonly best: Best | null
  /** Top-1 on the validation images after each epoch, first one first. */
  readonly validated: readonly number[]
  /** Training images that could not be read. */
  readonly skipped: readonly string[]
  /** Spent so far. */
  readonly seconds: number
}

const KEY = 'attempt' // in the metadata of a checkpoint's weights
type Stored = Omit<AttemptState, 'best'> & { readonly best: Omit<Best, 'parameters'> | null }

const folderOf = (work: string, seed: number) => join(work, `seed-${seed}`)
const bestFile = (dir: string, epoch: number) => join(dir, `best-${epoch}.safetensors`)
const doneFile = (work: string, seed: number) => join(work, `seed-${seed}.json`)

/** Weights and optimizer of the latest checkpoint; null if there is none. */
export function kept(
  work: string,
  seed: number,
  { rows, device, slots }: { rows: readonly ParameterRow[]; device: Device; slots: readonly string[] },
): (Training & AttemptState) | null {
  const dir = folderOf(work, seed)
  const { checkpoint } = latestWhole(dir)
  if (!checkpoint) return null
  const { metadata } = readSafetensorsHeader(join(checkpoint.path, 'model.safetensors'))
  const { best, ...state } = JSON.parse(metadata[KEY]!) as Stored
  return {
    ...loadCheckpoint(checkpoint.path, rows, device, slots),
    ...state,
    best: best && { ...best, parameters: readArrays(bestFile(dir, best.epoch)).tensors },
  }
}

/** Keeps an attempt as it is after a step. The best weights are written first: a checkpoint never names weights that are not there. */
export function keep(work: string, seed: number, training: Training, { best, ...state }: AttemptState): void {
  const dir = folderOf(work, seed)
  makeFolder(dir)
  const { parameters = null, ...about } = best ?? {}
  const file = best && bestFile(dir, best.epoch)
  if (file && parameters && !existsSync(file)) writeWeights(file, parameters, {})
  const stored = { ...state, best: best && about } as Stored
  saveCheckpoint(dir, training, { keep: 1 }, { [KEY]: JSON.stringify(stored) })
  for (const name of readdirSync(dir))
    if (name.startsWith('best-') && name !== (file && basename(file))) rmSync(join(dir, name))
}

/** The scores of a seed that is done; null if it is not. */
export const doneAttempt = (work: string, seed: number): Attempt | null =>
  existsSync(doneFile(work, seed))
    ? (JSON.parse(readFileSync(doneFile(work, seed), 'utf8')) as Attempt)
    : null

/** Its weights are not needed any more. */
export function keepDone(work: string, seed: number, attempt: Attempt): void {
  makeFolder(work)
  writeWhole(doneFile(work, seed), JSON.stringify(attempt))
  rmSync(folderOf(work, seed), { recursive: true, force: true })
}
