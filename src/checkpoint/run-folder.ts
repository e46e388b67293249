/**
 * The folder of a run: `config.json` (resolved), `run.json` (facts), `metrics.jsonl`, `skipped.jsonl`, `checkpoints/`, `samples/`. Tools
 * that watch a run read the folder, not the training process.
 */

import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import type { Config } from '../config/schema.ts'
import { storedConfig } from '../config/stored.ts'
import { messageOf, SherdError } from '../errors.ts'
import { readRegular } from '../files/regular-file.ts'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { latestWhole } from './checkpoint.ts'
import { type Listed, listCheckpoints } from './retention.ts'

export const statisticsSchema = z.object({
  mean: z.array(z.number()),
  std: z.array(z.number().positive('deviations are above 0')),
  low: z.array(z.number().nullable()).optional(),
  high: z.array(z.number().nullable()).optional(),
})
const factsSchema = z.object({
  format: z.literal('sherd-run/1'),
  preset: z.string(),
  data: z.object({
    dir: z.string(),
    files: z.number().int(),
    fingerprint: z.string(),
    classes: z.array(z.string()),
  }),
  statistics: statisticsSchema,
  /** Changes of the list of files (`--accept-data-change`), in chronological order. */
  dataChanges: z
    .array(
      z.object({
        time: z.string(),
        /** Steps taken before the change. */
        step: z.number().int(),
        before: z.object({ files: z.number().int(), fingerprint: z.string() }),
        after: z.object({ files: z.number().int(), fingerprint: z.string() }),
      }),
    )
    .optional(),
  /** The initial weights, if not random: of the hub with its commit, else a path. */
  init: z.string().optional(),
  /** Of their files. */
  initSha256: z.string().optional(),
  /** SHA-256 of the weights of models that it uses and does not train, by what they are for. */
  frozen: z.record(z.string(), z.string()).optional(),
  /** Masks are those of a function, which is not in the folder. */
  mask: z.literal('function').optional(),
  /** The time that its steps were fitted to, if it was. */
  hours: z.number().positive().optional(),
  started: z.string(),
  engine: z.object({ libtorch: z.string(), device: z.string(), precision: z.string(), threads: z.number() }),
})

/** Facts of a run that are not configuration. */
export type RunFacts = z.infer<typeof factsSchema>

export const runPaths = (dir: string) => ({
  config: join(dir, 'config.json'),
  facts: join(dir, 'run.json'),
  metrics: join(dir, 'metrics.jsonl'),
  metricsSchema: join(dir, 'metrics.schema.json'),
  skipped: join(dir, 'skipped.jsonl'),
  journal: join(dir, 'journal.jsonl'),
  lock: join(dir, '.lock'),
  notFinite: join(dir, 'not-finite.json'),
  checkpoints: join(dir, 'checkpoints'),
  samples: join(dir, 'samples'),
  /** What an adapted encoder has learned. */
  adapter: join(dir, 'adapter'),
  lossCurve: join(dir, 'loss-curve.png'),
  trace: join(dir, 'trace.json'),
  /** What "sherd demo" shows. */
  demo: join(dir, 'demo.html'),
  /** A checkpoint whose saving was timed; it is gone once the run has begun. */
  measuring: join(dir, '.measuring'),
})

const beginnings = [
  ...[
    'metrics.schema.json',
    'metrics.schema.json.writing',
    'run.json',
    'run.json.writing',
    'config.json.writing',
  ],
  ...['samples', 'checkpoints', '.lock', '.measuring'],
]

/** Whether there is no run: no folder, an empty one, or one interrupted before its first step. */
export function isBlank(dir: string): boolean {
  if (!existsSync(dir)) return true
  if (!statSync(dir).isDirectory()) return false
  const isEmpty = (name: string) =>
    name === '.measuring' ||
    !statSync(join(dir, name)).isDirectory() ||
    readdirSync(join(dir, name)).length === 0
  return readdirSync(dir).every((name) => beginnings.includes(name) && isEmpty(name))
}

/** Whether there is a run, of whatever version. */
export const isRun = (dir: string): boolean =>
  existsSync(runPaths(dir).config) && existsSync(runPaths(dir).facts)

/** Throws `RUN` if the folder of a new run is in use. */
export function expectUnused(dir: string): void {
  if (!existsSync(dir)) return
  const refuse = (what: string) => {
    throw new SherdError('RUN', `${resolve(dir)} ${what} another folder for --out.`)
  }
  if (!statSync(dir).isDirectory()) refuse('is a file: choose')
  if (existsSync(join(dir, 'config.json')))
    refuse('already holds a run: continue with --resume, replace it with --overwrite, or choose')
  if (!isBlank(dir)) refuse('is not empty: choose')
}

/** Throws `RUN` if the folder is in use. */
export function createRun(dir: string, config: Config, facts: RunFacts): void {
  expectUnused(dir)
  const paths = runPaths(dir)
  makeFolder(resolve(paths.samples))
  makeFolder(resolve(paths.checkpoints))
  rmSync(paths.measuring, { recursive: true, force: true }) // of a process that was killed
  writeWhole(paths.facts, `${JSON.stringify(facts, null, 2)}\n`)
  writeWhole(paths.config, `${JSON.stringify(config, null, 2)}\n`)
}

/** Rewrites the configuration of a resumed run if it changed, or was stored by an earlier version. */
export function updateConfig(dir: string, config: Config): void {
  const { config: path } = runPaths(dir)
  const text = `${JSON.stringify(config, null, 2)}\n`
  if (readRegular(path, MOST_JSON) !== text) writeWhole(path, text)
}

const MOST_JSON = 64 << 20 // bytes of a configuration, mostly names of classes

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

/** Throws `RUN` if there is no run or it is of another version. */
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

/** The latest checkpoint with intact weights, and warnings about later ones. Throws `RUN` if there is none. */
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
