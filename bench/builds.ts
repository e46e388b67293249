/**
 * Two builds of sherd beside each other: `npm run bench -- --before DIR`. Each runs its own `sherd bench step`, because configuration
 * keys and folders may differ; a new process in every round, in turns, so that neither the machine nor a lucky place in memory
 * favours one.
 */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { table } from '../src/cli/output.ts'
import { SherdError } from '../src/errors.ts'
import { describeMachine, type MachineDescription } from '../src/machine/describe.ts'
import { packageRoot } from '../src/package-root.ts'
import { median } from './median.ts'

interface BuildsWork {
  readonly name: string
  readonly title: string
  readonly preset: string
  readonly precision: 'bf16' | 'fp32'
  /** Steps of one round, behind two that warm up. */
  readonly steps: number
}

const presets = [
  { name: 'tiny', title: 'ViT-Tiny/4, 32 × 32, batch 128', preset: 'mae-tiny-cifar10', steps: 6 },
  { name: 'small', title: 'ViT-Small/8, 64 × 64, batch 64', preset: 'mae-small-64', steps: 6 },
  {
    name: 'satmae',
    title: 'SatMAE, ViT-Tiny/8, 48 × 48, batch 64',
    preset: 'satmae-tiny-sentinel2',
    steps: 8,
  },
] as const

/** The rows of a comparison: presets, whose batches are the usual ones, in both precisions. */
export const buildsWorks: readonly BuildsWork[] = (['bf16', 'fp32'] as const).flatMap((precision) =>
  presets.map((each) => ({
    ...each,
    precision,
    name: precision === 'bf16' ? each.name : `${each.name}-fp32`,
    title: `${each.title}, ${precision}`,
  })),
)

/** How many times as fast the new build is, over rounds. */
export interface Comparison {
  readonly median: number
  readonly quartiles: readonly [number, number]
  /** Whether the new build is as fast: the median is at least 0.98, or 1 lies between the quartiles. */
  readonly isAsFast: boolean
}

const LEAST = 0.98

/** The number that a share of the others lies below, between neighbours by the straight line. */
function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1)
  const below = Math.floor(at)
  const above = Math.min(below + 1, sorted.length - 1)
  return sorted[below]! + (at - below) * (sorted[above]! - sorted[below]!)
}

export function compareRounds(ratios: readonly number[]): Comparison {
  const sorted = [...ratios].sort((a, b) => a - b)
  const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => quantile(sorted, share)) as [
    number,
    number,
    number,
  ]
  return { median: middle, quartiles: [low, high], isAsFast: middle >= LEAST || (low <= 1 && high >= 1) }
}

export interface BuildsRow extends Comparison {
  readonly name: string
  readonly work: string
  readonly batch: number
  readonly precision: string
  readonly threads: number
  /** Milliseconds of a step: medians over all rounds. */
  readonly before: number
  readonly now: number
  /** The ratio of each round, before to now: above 1, now is the faster. */
  readonly roundRatios: readonly number[]
  readonly peakBytes: { readonly before: number; readonly now: number }
}

/** What of `sherd bench step --json` is read. */
interface Timed {
  readonly seconds: readonly number[]
  readonly batch: number
  readonly precision: string
  readonly threads: number
  readonly peakBytes: number
}

const launcherOf = (build: string): string => join(resolve(build), 'dist/src/cli/bin.cjs')

async function timed(build: string, { preset, precision, steps }: BuildsWork): Promise<Timed> {
  const args = [
    'bench',
    'step',
    preset,
    '--device',
    'cpu',
    '--precision',
    precision,
    '--steps',
    `${steps}`,
    '--json',
  ]
  const { stdout } = await promisify(execFile)(process.execPath, [launcherOf(build), ...args], {
    cwd: resolve(build),
    maxBuffer: 1 << 24,
  })
  return JSON.parse(stdout) as Timed
}

/** Times a row of both builds in turns. Throws `VALUE` where they do not compute the same work. */
export async function measureBuilds(
  work: BuildsWork,
  { before, rounds }: { readonly before: string; readonly rounds: number },
): Promise<BuildsRow> {
  const builds = { before, now: packageRoot() }
  const first = {
    before: await timed(before, { ...work, steps: 1 }),
    now: await timed(builds.now, { ...work, steps: 1 }),
  } // compiles addons
  for (const key of ['batch', 'precision', 'threads'] as const)
    if (first.before[key] !== first.now[key])
      throw new SherdError(
        'VALUE',
        `${work.title}: both builds must do the same work, but ${key} is ${first.before[key]} in ${before} and ${first.now[key]} here.`,
      )
  const times: { before: Timed[]; now: Timed[] } = { before: [], now: [] }
  for (let round = 0; round < rounds; round++)
    for (const side of round % 2 === 0 ? (['before', 'now'] as const) : (['now', 'before'] as const))
      times[side].push(await timed(builds[side], work))
  const typical = (side: 'before' | 'now') => times[side].map(({ seconds }) => median(seconds))
  const [was, is] = [typical('before'), typical('now')]
  const roundRatios = was.map((seconds, round) => seconds / is[round]!)
  const { batch, precision, threads } = first.now
  const peak = (side: 'before' | 'now') => Math.max(...times[side].map(({ peakBytes }) => peakBytes))
  return {
    ...{ name: work.name, work: work.title, batch, precision, threads },
    ...{ before: 1000 * median(was), now: 1000 * median(is), roundRatios, ...compareRounds(roundRatios) },
    peakBytes: { before: peak('before'), now: peak('now') },
  }
}

/** Throws `USAGE` for a folder that is no build. */
function expectBuild(build: string): void {
  if (!existsSync(launcherOf(build)))
    throw new SherdError(
      'USAGE',
      `--before ${build}: expected a checkout of sherd that is built, but ${launcherOf(build)} is not there. Run "npm run setup" in it.`,
    )
}

const heads = ['work', 'before', 'now', 'ratio', 'quartiles', 'as fast', 'memory, before / now']

const cellsOf = (rows: readonly BuildsRow[]): string[][] => [
  heads,
  ...rows.map((row) => [
    row.work,
    `${row.before.toFixed(1)} ms`,
    `${row.now.toFixed(1)} ms`,
    `${row.median.toFixed(3)} ×`,
    row.quartiles.map((x) => x.toFixed(3)).join('–'),
    row.isAsFast ? 'yes' : 'NO',
    `${(row.peakBytes.before / 1e6).toFixed(0)} / ${(row.peakBytes.now / 1e6).toFixed(0)} MB`,
  ]),
]

export interface BuildsResults {
  readonly date: string
  /** The commits, with a note where files were changed since. */
  readonly commits: { readonly before: string; readonly now: string }
  readonly machine: MachineDescription
  readonly rounds: number
  readonly rows: BuildsRow[]
}

export const buildsTable = ({ rows }: BuildsResults): string => table(cellsOf(rows), [1, 2, 3, 4])

export function buildsPage(results: BuildsResults): string {
  const { date, commits, machine, rounds, rows } = results
  const [head = [], ...lines] = cellsOf(rows)
  const row = (columns: readonly string[]) => `| ${columns.join(' | ')} |`
  return [
    `# ${commits.now} beside ${commits.before}, ${date}\n`,
    `Whole training steps by \`sherd bench step\`. ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${rows[0]?.threads} threads; LibTorch ${machine.libtorch}, Node.js ${machine.node}. ${rounds} rounds in turns, each in new processes. The ratio is that of the times of a step, before to now, and the median of the rounds; as fast: at least ${LEAST}, or 1 between the quartiles.\n`,
    [head, head.map(() => '---'), ...lines].map(row).join('\n'),
    '',
  ].join('\n')
}

function commitOf(build: string): string {
  const git = (...args: string[]) => spawnSync('git', ['-C', resolve(build), ...args], { encoding: 'utf8' })
  const hash = git('rev-parse', '--short', 'HEAD')
  if (hash.status !== 0) return 'a build without git'
  const isChanged = git('status', '--porcelain', '--untracked-files=no').stdout.trim() !== ''
  return `${hash.stdout.trim()}${isChanged ? ' (changed)' : ''}`
}

export interface BuildsOptions {
  readonly before: string
  readonly rounds: number
  readonly isChosen: (name: string) => boolean
  /** The folder of the results. */
  readonly out: string
  readonly say: (line: string) => void
}

/** Measures the chosen rows, prints and writes them. Returns whether all are as fast. */
export async function compareBuilds({ before, rounds, isChosen, out, say }: BuildsOptions): Promise<boolean> {
  expectBuild(before)
  const date = new Date().toISOString().slice(0, 10)
  const commits = { before: commitOf(before), now: commitOf(packageRoot()) }
  const results: BuildsResults = { date, commits, machine: describeMachine(), rounds, rows: [] }
  const path = join(out, `${date}-builds`)
  mkdirSync(out, { recursive: true })
  for (const work of buildsWorks.filter(({ name }) => isChosen(name))) {
    say(`${work.title} …`)
    results.rows.push(await measureBuilds(work, { before, rounds }))
    writeFileSync(`${path}.json`, `${JSON.stringify(results, null, 2)}\n`)
    writeFileSync(`${path}.md`, buildsPage(results))
  }
  process.stdout.write(`${buildsTable(results)}\n`)
  say(`written to ${path}.json and .md`)
  return results.rows.every(({ isAsFast }) => isAsFast)
}
