/**
 * A run is a folder: `config.json` (resolved, complete), `run.json` (what it runs on), `metrics.jsonl`, `skipped.jsonl`,
 * `checkpoints/`, `samples/`. Whatever watches a run reads the folder; nothing needs the training process.
 */

import { existsSync, readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import type { Config } from '../config/schema.ts'
import { storedConfig } from '../config/stored.ts'
import { messageOf, SherdError } from '../errors.ts'
import { readRegular } from '../files/regular-file.ts'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { latestWhole } from './checkpoint.ts'
import { type Listed, listCheckpoints } from './retention.ts'

/** What samples are normalised by, as files say it. */
export const statisticsSchema = z.object({
  mean: z.array(z.number()),
  std: z.array(z.number().positive('deviations are above 0')),
  low: z.array(z.number().nullable()).optional(),
  high: z.array(z.number().nullable()).optional(),
})
const factsSchema = z.object({
  format: z.literal('sherd-run/1'),
  /** The preset the run was started from. */
  preset: z.string(),
  data: z.object({
    dir: z.string(),
    files: z.number().int(),
    fingerprint: z.string(),
    classes: z.array(z.string()),
  }),
  statistics: statisticsSchema,
  /** Other lists of files that it went on with (`--accept-data-change`), in the order of time. */
  dataChanges: z
    .array(
      z.object({
        time: z.string(),
        /** Steps that were taken before. */
        step: z.number().int(),
        before: z.object({ files: z.number().int(), fingerprint: z.string() }),
        after: z.object({ files: z.number().int(), fingerprint: z.string() }),
      }),
    )
    .optional(),
  /** The weights that it began with, where it did not begin at random. */
  init: z.string().optional(),
  started: z.string(),
  engine: z.object({ libtorch: z.string(), device: z.string(), precision: z.string(), threads: z.number() }),
})

/** Facts of a run that are not configuration. */
export type RunFacts = z.infer<typeof factsSchema>

export const runPaths = (dir: string) => ({
  config: join(dir, 'config.json'),
  facts: join(dir, 'run.json'),
  metrics: join(dir, 'metrics.jsonl'),
  skipped: join(dir, 'skipped.jsonl'),
  journal: join(dir, 'journal.jsonl'),
  lock: join(dir, '.lock'),
  notFinite: join(dir, 'not-finite.json'),
  checkpoints: join(dir, 'checkpoints'),
  samples: join(dir, 'samples'),
  lossCurve: join(dir, 'loss-curve.png'),
  trace: join(dir, 'trace.json'),
})

const beginnings = ['run.json', 'run.json.writing', 'config.json.writing', 'samples', 'checkpoints', '.lock']

/** Whether there is no run yet: no folder, an empty one, or one whose making was interrupted before its first step. */
export function isBlank(dir: string): boolean {
  if (!existsSync(dir)) return true
  if (!statSync(dir).isDirectory()) return false
  const isEmpty = (name: string) =>
    !statSync(join(dir, name)).isDirectory() || readdirSync(join(dir, name)).length === 0
  return readdirSync(dir).every((name) => beginnings.includes(name) && isEmpty(name))
}

/** Throws `RUN` when a new run cannot have this folder because something is there already. */
export function expectUnused(dir: string): void {
  if (!existsSync(dir)) return
  const refuse = (what: string) => {
    throw new SherdError('RUN', `${resolve(dir)} ${what} another folder for --out.`)
  }
  if (!statSync(dir).isDirectory()) refuse('is a file: choose')
  if (existsSync(join(dir, 'config.json'))) refuse('already holds a run: go on with --resume, or choose')
  if (!isBlank(dir)) refuse('is not empty: choose')
}

/** Creates the folder of a new run. Throws `RUN` when something is there already. */
export function createRun(dir: string, config: Config, facts: RunFacts): void {
  expectUnused(dir)
  const paths = runPaths(dir)
  makeFolder(resolve(paths.samples))
  makeFolder(resolve(paths.checkpoints))
  writeWhole(paths.facts, `${JSON.stringify(facts, null, 2)}\n`)
  writeWhole(paths.config, `${JSON.stringify(config, null, 2)}\n`)
}

/** Writes the configuration of a run that is resumed, where it differs from what the folder has: changed, or stored by an earlier version. */
export function updateConfig(dir: string, config: Config): void {
  const { config: path } = runPaths(dir)
  const text = `${JSON.stringify(config, null, 2)}\n`
  if (readRegular(path, MOST_JSON) !== text) writeWhole(path, text)
}

const MOST_JSON = 64 << 20 // bytes of a configuration; names of classes are the most of it

function readJson(path: string): unknown {
  try {
    return JSON.parse(readRegular(path, MOST_JSON))
  } catch (error) {
    throw new SherdError('RUN', `Cannot read ${path}: ${messageOf(error)}`, { cause: error })
  }
}

function readConfig(path: string): Config {
  const json = readJson(path)
  try {
    return storedConfig(json)
  } catch (error) {
    throw new SherdError('RUN', `${path} is not of this version of sherd: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

export interface OpenedRun {
  readonly config: Config
  readonly facts: RunFacts
  /** The latest checkpoint, or `null` before the first. */
  readonly latest: { readonly step: number; readonly path: string } | null
}

/** Reads the folder of a run. Throws `RUN` when there is none or it is of another version. */
export function openRun(dir: string): OpenedRun {
  const paths = runPaths(dir)
  if (!existsSync(paths.config) || !existsSync(paths.facts)) {
    throw new SherdError(
      'RUN',
      `${resolve(dir)} is not a run of sherd: it has no config.json and run.json. "sherd pretrain" makes one.`,
    )
  }
  const facts = factsSchema.safeParse(readJson(paths.facts))
  if (!facts.success)
    throw new SherdError(
      'RUN',
      `${paths.facts} is not of this version of sherd: ${z.prettifyError(facts.error)}`,
    )
  return {
    config: readConfig(paths.config),
    facts: facts.data,
    latest: listCheckpoints(paths.checkpoints).at(-1) ?? null,
  }
}

/** The latest checkpoint of a run whose weights can be trusted, and what to tell about later ones. Throws `RUN` when there is none. */
export function trustedWeights(dir: string): {
  readonly checkpoint: Listed
  readonly warnings: readonly string[]
} {
  const { checkpoint, damaged } = latestWhole(runPaths(dir).checkpoints, ['model.safetensors'])
  const warnings = damaged.map(({ path, reason }) => `${path} is damaged and is not used: ${reason}.`)
  if (!checkpoint)
    throw new SherdError(
      'RUN',
      [
        `${runPaths(dir).checkpoints} has no checkpoint ${damaged.length > 0 ? 'that can be used' : 'yet'}.`,
        ...warnings,
      ].join(' '),
    )
  return { checkpoint, warnings }
}
