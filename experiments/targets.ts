/**
 * Which target to predict and which mask to hide behind: the same encoder, images, budget and evaluation, one key apart. Every row is a run of
 * its own, judged by nearest neighbours and a linear probe. Resumable: what has a result is not done again.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { openImageFolder } from '../src/source/image-folder.ts'
import { frozenReports, pretrain, sherd } from './command.ts'
import {
  configHash,
  engineOf,
  kept,
  lastMetrics,
  lastWeights,
  progressOf,
  provenance,
  readJson,
  topOf,
} from './facts.ts'
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
import { comparison, type Result, type Table, tableFrom, tableMarkdown } from './targets-table.ts'

const preset = 'mae-tiny-cifar10'
const BATCH = 128

const usage = `experiment targets --data DIR (with train/ and test/) [--out DIR] [--minutes N] [--row NAME]
  --minutes   of this machine, which is timed first: each training sees ${WANTED} images, or as many fewer as fit (150)
  --images    that each training sees, whatever the time
  --row       that row alone, and what it needs: ${rows.map(({ name }) => name).join(', ')}
  --against   a table.json, such as a committed one: says whether the cells that were done again are the same
  --table     trains nothing: writes the table of what is there
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

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      data: { type: 'string' },
      out: { type: 'string', default: 'runs/experiment-targets' },
      minutes: { type: 'string', default: '150' },
      images: { type: 'string' },
      row: { type: 'string' },
      against: { type: 'string' },
      table: { type: 'boolean', default: false },
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
  if (values.against) readJson(values.against) // before anything is trained
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
    const { preset: own = preset, set, needs }: Training = trainingOf(name)
    if (needs) trained(needs.of, 0)
    const keys = needs ? [...set, `${needs.key}=${runOf(needs.of, 0)}`] : set
    pretrain(
      ...([runOf(name, seed), ['--steps', String(plan.steps)], own, '--data', train] as const),
      ...['--seed', String(seed), ...setOf([...plan.set, ...keys])],
    )
  }

  /** The model that a row needs, by what it was and came to. */
  const otherOf = (name: string): NonNullable<Result['needs']> => {
    const other = runOf(name, 0)
    return {
      ...{ name, config: configHash(other), weights: lastWeights(other), ...progressOf(other) },
      last: lastMetrics(other),
    }
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
    const result: Result = {
      ...{ format: 'sherd-targets/1', row: row.name, seed, preset, common: plan.set, set: row.set },
      ...{ images: isFloor ? 0 : seen, steps: isFloor ? 0 : plan.steps },
      ...(isFloor
        ? { config: null, weights: null, loss: null, imagesPerSecond: null }
        : { config: configHash(runDir), weights: lastWeights(runDir), ...progressOf(runDir) }),
      needs: row.needs ? otherOf(row.needs.of) : null,
      ...(isFloor ? { precision: reports.knn.model.precision, threads } : engineOf(runDir)),
      top1: { knn: topOf(reports.knn), linear: topOf(reports.linear) },
      reports: { knn: kept(reports.knn, out), linear: kept(reports.linear, out) },
      ...provenance(),
    }
    writeFileSync(path, `${JSON.stringify(result)}\n`)
    return result
  }

  const resultsOf = (some: readonly Cell[]) =>
    some.flatMap(({ row, seed }) => {
      const path = join(folderOf(row.name, seed), 'result.json')
      return existsSync(path) ? [readJson<Result>(path)] : []
    })

  function writeTable(): string {
    const results = resultsOf(cellsOf(rows))
    const table = tableMarkdown(results, preset)
    mkdirSync(at('results'), { recursive: true })
    writeFileSync(at('results/table.md'), table)
    writeFileSync(at('results/table.json'), `${JSON.stringify(tableFrom(results), null, 2)}\n`)
    for (const result of results)
      writeFileSync(at(`results/${result.row}-${result.seed}.json`), `${JSON.stringify(result)}\n`)
    return table
  }

  for (const cell of values.table ? [] : cells) {
    judge(cell)
    writeTable()
  }
  console.log(writeTable())
  if (values.against) console.log(comparison(resultsOf(cells), readJson<Table>(values.against)).join('\n'))
}
