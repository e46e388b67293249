/**
 * A run is a folder: `config.json` (resolved, complete), `run.json` (what it runs on), `metrics.jsonl`, `skipped.jsonl`,
 * `checkpoints/`, `samples/`. Whatever watches a run reads the folder; nothing needs the training process.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { listCheckpoints } from '../checkpoint/checkpoint.ts'
import { resolveConfig } from '../config/resolve.ts'
import type { Config, ConfigInput } from '../config/schema.ts'
import { messageOf, SherdError } from '../errors.ts'
import type { ImageFolder } from '../source/image-folder.ts'

const statistics = z.object({ mean: z.array(z.number()), std: z.array(z.number()) })
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
  statistics,
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
  checkpoints: join(dir, 'checkpoints'),
  samples: join(dir, 'samples'),
  lossCurve: join(dir, 'loss-curve.png'),
})

/** Writes a file so that it is whole or absent. */
export function writeWhole(path: string, data: string | Uint8Array): void {
  writeFileSync(`${path}.writing`, data, { flush: true })
  renameSync(`${path}.writing`, path)
}

/** A number for the list of files: samples are addressed by their place in it, so a resumed run must see the same. */
export function fingerprint({ files }: ImageFolder): string {
  const hash = createHash('sha256')
  for (const file of files) hash.update(file).update('\n')
  return hash.digest('hex').slice(0, 16)
}

/** Creates the folder of a new run. Throws `RUN` when something is there already. */
export function createRun(dir: string, config: Config, facts: RunFacts): void {
  if (existsSync(dir) && readdirSync(dir).length > 0) {
    const what = existsSync(join(dir, 'config.json'))
      ? 'already holds a run: go on with --resume'
      : 'is not empty'
    throw new SherdError('RUN', `${resolve(dir)} ${what}, or choose another folder for --out.`)
  }
  const paths = runPaths(dir)
  mkdirSync(paths.samples, { recursive: true })
  mkdirSync(paths.checkpoints, { recursive: true })
  writeWhole(paths.facts, `${JSON.stringify(facts, null, 2)}\n`)
  writeWhole(paths.config, `${JSON.stringify(config, null, 2)}\n`)
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new SherdError('RUN', `Cannot read ${path}: ${messageOf(error)}`, { cause: error })
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
  const config = resolveConfig(readJson(paths.config) as ConfigInput)
  return { config, facts: facts.data, latest: listCheckpoints(paths.checkpoints).at(-1) ?? null }
}
