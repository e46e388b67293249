/**
 * A published encoder: DINOv2's ViT-Small/14 of 224 pixels with random weights, from bytes to the feature in sherd, from normalised
 * pixels to it in transformers, which runs as it comes: its default attention, not compiled. The same folder, threads and batch.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { smallestCosine } from '../src/export/feature-cost.ts'
import type { PrecisionName } from '../src/machine/plan.ts'
import { packageRoot } from '../src/package-root.ts'
import { compareRounds } from './builds.ts'
import { type Contestant, type PeerWay, type Timed, takeTurns, tryVariants } from './contest.ts'
import { median } from './median.ts'
import type { Peer } from './peer.ts'
import { startRounds } from './rounds.ts'

export interface EmbedRow {
  readonly work: string
  /** Images a second. */
  readonly sherd: number
  readonly peer: number
  /** How the peer ran, and how fast it is otherwise. */
  readonly peerVariant: string
  readonly peerOthers: readonly PeerWay[]
  /** The median of the rounds' ratios, and their quartiles. Above 1, sherd is the faster. */
  readonly ratio: number
  readonly quartiles: readonly [number, number]
  readonly roundRatios: readonly number[]
  /** Of images for each second of processor time, which other programs on the machine touch less. */
  readonly cpuRatio: number
  /** The smallest cosine of an image's features in both. */
  readonly cosine: number
}

export interface EmbedOptions {
  readonly peer: Peer
  readonly rounds: number
  readonly threads: number
  readonly say: (line: string) => void
}

interface Round extends Timed {
  readonly cpuSeconds: number
}
interface Ready {
  readonly features: readonly number[]
  readonly transformers?: string
  readonly attention?: string
}
type Program = Contestant<Round> & { readonly ready: Ready }

const BATCH = 16
const BATCHES = 2 // of a round
const WIDTH = 384

interface Work {
  readonly precision: PrecisionName
  readonly title: string
  /** Features that are further apart than this are not those of the same model. */
  readonly leastCosine: number
  readonly ways: readonly { readonly name: string; readonly autocast: boolean }[]
}

const works: readonly Work[] = [
  {
    ...{ precision: 'fp32', title: 'float32', leastCosine: 0.999999 },
    ways: [{ name: 'float32', autocast: false }],
  },
  {
    ...{ precision: 'bf16', title: 'bfloat16', leastCosine: 0.998 },
    ways: [
      { name: 'bfloat16', autocast: false },
      { name: 'bfloat16 by autocast', autocast: true },
    ],
  },
]

const script = join(packageRoot(), 'bench/peers/embed.py')
const program = join(packageRoot(), 'dist/bench/sherd-embed.js')

async function enter(command: readonly string[], options: object): Promise<Program> {
  const running = await startRounds<{ batches: number }, Round>([...command, JSON.stringify(options)])
  return {
    ready: running.ready as unknown as Ready,
    turn: () => running.ask({ batches: BATCHES }),
    end: () => running.end(),
  }
}

/** A row for each precision; null, with the reason said, where the peer has no transformers. */
export async function measureEmbedding({ say, ...options }: EmbedOptions): Promise<EmbedRow[] | null> {
  const folder = mkdtempSync(join(tmpdir(), 'sherd-bench-'))
  try {
    const order = JSON.stringify({ folder, write: true })
    const written = spawnSync(options.peer.python, ['-B', script, order], { encoding: 'utf8' })
    if (written.status !== 0) {
      say(`no transformers for ${options.peer.python}: ${written.stderr.trim().split('\n').at(-1)}`)
      return null
    }
    const rows: EmbedRow[] = []
    for (const work of works) {
      say(`DINOv2 ViT-Small/14, ${work.title} …`)
      rows.push(await measureWork(work, folder, options))
    }
    return rows
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function measureWork(
  { precision, title, leastCosine, ways }: Work,
  folder: string,
  { peer, rounds, threads }: Omit<EmbedOptions, 'say'>,
): Promise<EmbedRow> {
  const order = { folder, precision, threads, batch: BATCH }
  const { finalists, failed } = await tryVariants(ways, ({ autocast }) =>
    enter([peer.python, '-B', script], { ...order, autocast }),
  )
  if (finalists.length === 0) throw new Error(`transformers did not run: ${JSON.stringify(failed)}`)
  const own = await enter([process.execPath, program], order)
  const contestants = [own, ...finalists.map(({ contestant }) => contestant)]
  const features = contestants.map(({ ready }) => Float32Array.from(ready.features))
  const cosines = features.map((each) => smallestCosine(features[0]!, each, WIDTH))
  if (!cosines.every((cosine) => cosine >= leastCosine))
    throw new Error(`the features are not those of the same model: cosines ${cosines.join(', ')}`)
  await own.turn()
  const [ours = [], ...theirs] = await takeTurns(contestants, rounds)
  await Promise.all(contestants.map((each) => each.end()))
  const rateOf = ({ seconds }: Timed) => BATCH / Math.min(...seconds)
  const cpuOf = (answers: readonly Round[]) => median(answers.map(({ cpuSeconds }) => cpuSeconds))
  const sides = finalists
    .map(({ variant, contestant }, i) => {
      const { transformers, attention } = contestant.ready
      const rates = theirs[i]!.map(rateOf)
      const name = `transformers ${transformers}, ${attention} attention, ${variant}`
      return { variant: name, rates, imagesPerSecond: median(rates), i }
    })
    .sort((a, b) => b.imagesPerSecond - a.imagesPerSecond)
  const [best, ...slower] = sides as [(typeof sides)[number], ...typeof sides]
  const rates = ours.map(rateOf)
  const roundRatios = rates.map((rate, round) => rate / best.rates[round]!)
  const { median: ratio, quartiles } = compareRounds(roundRatios)
  return {
    work: `embedding by DINOv2 ViT-Small/14, 224 × 224, batch ${BATCH}, ${title}`,
    ...{ sherd: median(rates), peer: best.imagesPerSecond, peerVariant: best.variant },
    peerOthers: [...slower.map(({ variant, imagesPerSecond }) => ({ variant, imagesPerSecond })), ...failed],
    ...{ ratio, quartiles, roundRatios },
    cpuRatio: cpuOf(theirs[best.i]!) / cpuOf(ours),
    cosine: cosines[1 + best.i]!,
  }
}
