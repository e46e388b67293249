/**
 * `npm run bench`: sherd beside PyTorch on this machine, in turns within one run, with the same threads. Prints a table
 * and writes bench/results/<date>-<cpu>.json. `npm run bench -- --rounds 3 --only tiny` for less.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { table } from '../src/cli/output.ts'
import { dimensionsOf, resolveConfig } from '../src/config/resolve.ts'
import type { ConfigInput } from '../src/config/schema.ts'
import { measureGemm } from '../src/machine/gemm.ts'
import { coreCount, cpuBfloat16, cpuName } from '../src/machine/hardware.ts'
import { packageRoot } from '../src/package-root.ts'
import type { StepTimes } from '../src/run/step-bench.ts'
import { engineBuild, setThreads } from '../src/tensor/context.ts'
import { benchData } from './data.ts'
import { findPeer, type Peer } from './peer.ts'
import { type Rounds, startRounds } from './rounds.ts'
import { type Work, works } from './works.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, only: { type: 'string' } },
})
const rounds = Number(values.rounds)
const threads = coreCount()
const root = packageRoot()

const median = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!

interface Side {
  readonly precision: string
  readonly medianStepSeconds: number
  readonly imagesPerSecond: number
  readonly peakBytes: number
  readonly seconds: readonly number[]
}
interface StepRow {
  readonly work: string
  readonly sherd: Side
  /** The better of its precisions. */
  readonly peer: Side | null
  readonly peerOther: Side | null
  /** Of the medians: above 1, sherd is the faster. */
  readonly ratio: number | null
  /** The same ratio in each round. */
  readonly roundRatios: readonly number[]
}

type StepRounds = Rounds<{ steps: number }, StepTimes>

const configOf = ({ model, batch }: Work): ConfigInput => ({ model, train: { batchSize: batch, threads } })

function peerCommand(peer: Peer, work: Work, precision: string): string[] {
  const { layerNormEpsilon: _, ...dimensions } = dimensionsOf(resolveConfig(configOf(work)))
  const config = {
    ...dimensions,
    maskRatio: 0.75,
    normalizeTarget: true,
    batch: work.batch,
    precision,
    threads,
    device: 'cpu',
    compile: false,
    fusedAttention: false,
  }
  return [peer.python, '-B', join(root, 'bench/peers/step.py'), JSON.stringify(config)]
}

function side(work: Work, precision: string, all: readonly StepTimes[]): Side {
  const seconds = all.flatMap((each) => each.seconds)
  const typical = median(seconds)
  return {
    precision,
    medianStepSeconds: typical,
    imagesPerSecond: work.batch / typical,
    peakBytes: Math.max(...all.map(({ peakBytes }) => peakBytes)),
    seconds,
  }
}

async function benchStep(work: Work, peer: Peer | null): Promise<StepRow> {
  const sherd: StepRounds = await startRounds([
    process.execPath,
    join(root, 'dist/bench/sherd-step.js'),
    JSON.stringify(configOf(work)),
  ])
  const precision = String(sherd.ready.precision)
  const mine: StepTimes[] = []
  if (!peer) {
    for (let round = 0; round < rounds; round++) mine.push(await sherd.ask({ steps: work.steps }))
    await sherd.end()
    return {
      work: work.title,
      sherd: side(work, precision, mine),
      peer: null,
      peerOther: null,
      ratio: null,
      roundRatios: [],
    }
  }
  const trials: { name: string; rounds: StepRounds; times: StepTimes[] }[] = []
  for (const name of ['bf16', 'fp32']) {
    const started: StepRounds = await startRounds(peerCommand(peer, work, name))
    trials.push({ name, rounds: started, times: [await started.ask({ steps: work.steps })] })
  }
  trials.sort((a, b) => median(a.times[0]!.seconds) - median(b.times[0]!.seconds))
  const [best, other] = trials as [(typeof trials)[0], (typeof trials)[0]]
  await other.rounds.end()
  const otherSide = side(work, other.name, other.times)
  best.times.length = 0
  await sherd.ask({ steps: 1 })
  for (let round = 0; round < rounds; round++) {
    const turns = [
      async () => mine.push(await sherd.ask({ steps: work.steps })),
      async () => best.times.push(await best.rounds.ask({ steps: work.steps })),
    ]
    for (const turn of round % 2 === 0 ? turns : turns.reverse()) await turn()
  }
  await Promise.all([sherd.end(), best.rounds.end()])
  const [ours, theirs] = [side(work, precision, mine), side(work, best.name, best.times)]
  return {
    work: work.title,
    sherd: ours,
    peer: theirs,
    peerOther: otherSide,
    ratio: theirs.medianStepSeconds / ours.medianStepSeconds,
    roundRatios: mine.map((each, i) => median(best.times[i]!.seconds) / median(each.seconds)),
  }
}

const chosen = works.filter(({ name }) => !values.only || values.only === name)
const peer = findPeer()
const build = engineBuild()
setThreads(threads)
const machine = {
  cpu: cpuName(),
  cores: threads,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  bfloat16: cpuBfloat16(),
  libtorch: build.version,
  peer: peer ? `PyTorch ${peer.torch}, torchvision ${peer.torchvision}` : null,
  node: process.versions.node,
  gemmGflops: {
    float32: Math.round(measureGemm({ dtype: 'float32' })),
    bfloat16: Math.round(measureGemm({ dtype: 'bfloat16' })),
  },
}
console.error(
  `bench: ${machine.cpu}, ${threads} threads, LibTorch ${machine.libtorch}, ${machine.peer ?? 'no peer'}`,
)
const steps: StepRow[] = []
for (const work of chosen) {
  console.error(`bench: ${work.title} …`)
  steps.push(await benchStep(work, peer))
}
const data = !values.only || values.only === 'data' ? await benchData(peer, rounds) : []

const megabytes = (bytes: number | undefined) =>
  bytes === undefined ? '–' : `${(bytes / 1e6).toFixed(0)} MB`
const rate = (x: number | null | undefined) => (x == null ? '–' : x.toFixed(1))
const ratio = (x: number | null) => (x === null ? '–' : `${x.toFixed(2)} ×`)
const spread = (x: readonly number[]) =>
  x.length === 0 ? '–' : `${Math.min(...x).toFixed(2)}–${Math.max(...x).toFixed(2)}`
console.log(
  table(
    [
      ['work', 'sherd', 'PyTorch', 'ratio', 'rounds', 'peak sherd', 'peak PyTorch', 'precision'],
      ...steps.map((row) => [
        row.work,
        `${rate(row.sherd.imagesPerSecond)}/s`,
        `${rate(row.peer?.imagesPerSecond)}/s`,
        ratio(row.ratio),
        spread(row.roundRatios),
        megabytes(row.sherd.peakBytes),
        megabytes(row.peer?.peakBytes),
        `${row.sherd.precision} / ${row.peer?.precision ?? '–'}`,
      ]),
      ...data.map((row) => [
        row.work,
        `${rate(row.sherd)}/s`,
        `${rate(row.peer)}/s`,
        ratio(row.ratio),
        spread(row.roundRatios),
        '',
        '',
        '',
      ]),
    ],
    [1, 2, 3, 4, 5, 6],
  ),
)
const date = new Date().toISOString().slice(0, 10)
const slug = machine.cpu
  .toLowerCase()
  .replace(/[^a-z0-9]+/g, '-')
  .replace(/^-|-$/g, '')
const path = join(root, 'bench/results', `${date}-${slug}-${threads}-cores.json`)
mkdirSync(join(root, 'bench/results'), { recursive: true })
writeFileSync(path, `${JSON.stringify({ date, machine, rounds, steps, data }, null, 2)}\n`)
console.error(`bench: written to ${path}`)
