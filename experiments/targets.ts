/**
 * Which target to predict and which mask to hide behind: the same encoder, images, budget and evaluation, one key apart. Every row is a run of
 * its own, judged by nearest neighbours and a linear probe. Resumable: what has a result is not done again.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Report } from '../src/evaluate/evaluate.ts'
import { describeMachine } from '../src/machine/describe.ts'
import { packageRoot } from '../src/package-root.ts'
import { openImageFolder } from '../src/source/image-folder.ts'
import { frozenReports, pretrain, sherd } from './command.ts'
import { linkFewImages } from './few-images.ts'
import {
  type Cell,
  cellsOf,
  floor,
  imagesFor,
  JUDGED,
  rows,
  type Training,
  tokenizers,
  trainingOf,
  WANTED,
} from './targets-rows.ts'
import { type Measure, measures, type Result, tableFrom, tableMarkdown } from './targets-table.ts'

const preset = 'mae-tiny-cifar10'
const BATCH = 128

const usage = `experiment targets --data DIR (with train/ and test/) [--out DIR] [--minutes N] [--row NAME]
  --minutes   of this machine, which is timed first: each training sees ${WANTED} images, or as many fewer as fit (150)
  --images    that each training sees, whatever the time
  --row       that row alone, and what it needs: ${rows.map(({ name }) => name).join(', ')}
  --threads   of training (2)
  --judged    training images that encoders are judged with, and a fifth as many test images (${JUDGED.train})
  --set       a further key of every training, such as model.depth=6; may be repeated`

interface Plan {
  readonly steps: number
  readonly batch: number
  readonly set: readonly string[]
  /** What it was made for. */
  readonly minutes: number | null
  readonly imagesPerSecond: number | null
}

const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const readJson = <T>(path: string) => JSON.parse(readFileSync(path, 'utf8')) as T

/** Keys whose value is where another model lies. */
const paths = ['target.model', 'target.tokenizer', 'mask.model']

/** A run's configuration by its content: the same for the same training, wherever its teacher lies. */
function configHash(run: string): string {
  const config = readJson<Record<string, Record<string, unknown>>>(join(run, 'config.json'))
  for (const path of paths) {
    const [group, key] = path.split('.') as [string, string]
    if (config[group]?.[key]) config[group][key] = null
  }
  return sha256(JSON.stringify(config))
}

/** Of the numbers alone: what precedes them names the configuration, and in it the place of a teacher. */
function lastWeights(run: string): string {
  const last = readdirSync(join(run, 'checkpoints')).sort().at(-1)!
  const file = readFileSync(join(run, 'checkpoints', last, 'model.safetensors'))
  return sha256(file.subarray(8 + Number(file.readBigUInt64LE(0))))
}

function progressOf(run: string): Pick<Result, 'loss' | 'imagesPerSecond'> {
  const lines = readFileSync(join(run, 'metrics.jsonl'), 'utf8').trim().split('\n')
  const steps = lines
    .map((line) => JSON.parse(line) as { loss?: number; imagesPerSecond?: number })
    .filter((line) => typeof line.loss === 'number')
  const rates = steps.flatMap(({ imagesPerSecond }) => imagesPerSecond ?? []).sort((a, b) => a - b)
  return { loss: [steps[0]!.loss!, steps.at(-1)!.loss!], imagesPerSecond: rates[rates.length >> 1] ?? null }
}

function commitOf(): string {
  try {
    return execFileSync('git', ['-C', packageRoot(), 'describe', '--always', '--dirty', '--exclude', '*'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return 'a build without git'
  }
}

/** Without the reports, which each cell's own file has. */
const briefly = ({ reports, ...facts }: Result) => ({
  ...facts,
  reports: Object.fromEntries(measures.map((measure) => [measure, reports[measure].sha256])),
})

const topOf = ({ rows, chosen }: Report) => rows[chosen.at(-1)!]!.top1.mean

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      data: { type: 'string' },
      out: { type: 'string', default: 'runs/experiment-targets' },
      minutes: { type: 'string', default: '150' },
      images: { type: 'string' },
      row: { type: 'string' },
      threads: { type: 'string', default: '2' },
      judged: { type: 'string', default: String(JUDGED.train) },
      set: { type: 'string', multiple: true, default: [] },
    },
  })
  const [minutes, images, threads, judged] = [
    values.minutes,
    values.images ?? WANTED,
    values.threads,
    values.judged,
  ].map(Number) as [number, number, number, number]
  const chosen = rows.filter(({ name }) => values.row === undefined || name === values.row)
  if (!values.data || chosen.length === 0 || ![minutes, images, threads, judged].every((n) => n > 0)) {
    console.error(usage)
    process.exit(2)
  }
  const [data, out] = [resolve(values.data), resolve(values.out)]
  const at = (...parts: string[]) => join(out, ...parts)
  mkdirSync(out, { recursive: true })
  const cells = cellsOf(chosen)

  // Made once: an experiment that goes on must go on with the same plan.
  function planned(): Plan {
    if (existsSync(at('plan.json'))) return readJson<Plan>(at('plan.json'))
    const set = [`train.threads=${threads}`, 'checkpoint.everySteps=100', ...values.set]
    const batch = Number(set.findLast((each) => each.startsWith('train.batchSize='))?.split('=')[1] ?? BATCH)
    const timed = values.images === undefined
    const { imagesPerSecond } = timed
      ? (JSON.parse(sherd('bench', 'step', preset, '--json')) as { imagesPerSecond: number })
      : { imagesPerSecond: null }
    const seen = imagesPerSecond === null ? images : imagesFor(cells, minutes, imagesPerSecond)
    const plan = {
      ...{ steps: Math.max(1, Math.round(seen / batch)), batch, set },
      ...{ minutes: timed ? minutes : null, imagesPerSecond },
    }
    writeFileSync(at('plan.json'), `${JSON.stringify(plan, null, 2)}\n`)
    return plan
  }
  const plan = planned()
  const seen = plan.steps * plan.batch
  console.error(`\n${plan.steps} steps, ${seen} images in each training`)
  if (plan.minutes !== null && seen < WANTED)
    console.error(
      `Fewer than ${WANTED}: at ${plan.imagesPerSecond!.toFixed(0)} images/s no more fit into ${plan.minutes} minutes.`,
    )

  const train = join(data, 'train')
  const few = async (part: string, count: number) => {
    const { files } = await openImageFolder(join(data, part))
    return linkFewImages(join(data, part), at('images', part), Math.max(1, Math.floor(files.length / count)))
  }
  await few('train', judged)
  await few('test', judged / 5)

  const folderOf = (name: string, seed: number) =>
    name in tokenizers ? at('tokenizers', name) : at('cells', name, `seed-${seed}`)
  const runOf = (name: string, seed: number) => join(folderOf(name, seed), 'run')
  const setOf = (keys: readonly string[]) => keys.flatMap((each) => ['--set', each])

  /** Trains it, unless that is done, and before it what it needs. */
  function trained(name: string, seed: number): void {
    const { set, needs }: Training = trainingOf(name)
    if (needs) trained(needs.of, 0)
    const own = needs ? [...set, `${needs.key}=${runOf(needs.of, 0)}`] : set
    pretrain(
      ...([runOf(name, seed), ['--steps', String(plan.steps)], preset, '--data', train] as const),
      ...['--seed', String(seed), ...setOf([...plan.set, ...own])],
    )
  }

  function judge({ row, seed }: Cell): Result {
    const own = folderOf(row.name, seed)
    const path = join(own, 'result.json')
    if (existsSync(path)) return readJson<Result>(path)
    const isFloor = row.name === floor
    const runDir = runOf(row.name, seed)
    if (!isFloor) trained(row.name, seed)
    const model = isFloor
      ? ['random', '--preset', preset, ...setOf(plan.set.filter((each) => each.startsWith('model.')))]
      : [runDir]
    const reports = frozenReports(
      ...([join(own, 'reports'), '--model', ...model] as const),
      ...['--data', at('images'), '--seeds', '1', '--shots', '10%', '--no-baseline'],
    )
    // Without the place of the folder, which is of this machine alone.
    const kept = measures.map((measure): [Measure, Result['reports'][Measure]] => {
      const text = JSON.stringify(reports[measure]).replaceAll(`${out}/`, '')
      return [measure, { sha256: sha256(text), report: JSON.parse(text) as Report }]
    })
    const { cpu, cores } = describeMachine()
    const engine = isFloor
      ? { precision: reports.knn.model.precision, threads }
      : readJson<{ engine: { precision: string; threads: number } }>(join(runDir, 'run.json')).engine
    const result: Result = {
      ...{ format: 'sherd-targets/1', row: row.name, seed, preset, common: plan.set, set: row.set },
      ...{ images: isFloor ? 0 : seen, steps: isFloor ? 0 : plan.steps },
      ...(isFloor
        ? { config: null, weights: null, loss: null, imagesPerSecond: null }
        : { config: configHash(runDir), weights: lastWeights(runDir), ...progressOf(runDir) }),
      needs: row.needs ? lastWeights(runOf(row.needs.of, 0)) : null,
      ...{ precision: engine.precision, threads: engine.threads },
      top1: { knn: topOf(reports.knn), linear: topOf(reports.linear) },
      reports: Object.fromEntries(kept) as Result['reports'],
      ...{ commit: commitOf(), machine: `${cpu}, ${cores} cores`, date: new Date().toISOString() },
    }
    writeFileSync(path, `${JSON.stringify(result)}\n`)
    return result
  }

  function writeTable(): string {
    const results = cellsOf(rows).flatMap(({ row, seed }) => {
      const path = join(folderOf(row.name, seed), 'result.json')
      return existsSync(path) ? [readJson<Result>(path)] : []
    })
    const table = tableMarkdown(results, preset)
    writeFileSync(at('table.md'), table)
    writeFileSync(
      at('table.json'),
      `${JSON.stringify({ ...tableFrom(results), cells: results.map(briefly) }, null, 2)}\n`,
    )
    return table
  }

  for (const cell of cells) {
    judge(cell)
    writeTable()
  }
  console.log(writeTable())
}
