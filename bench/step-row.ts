/** One row of training steps: sherd and the peer take turns, round by round, and every round is kept. */
import { join } from 'node:path'
import type { StepTimes } from '../src/bench/step-bench.ts'
import { decodedConfig, resolveConfig } from '../src/config/resolve.ts'
import type { ConfigInput } from '../src/config/schema.ts'
import { stepFlops } from '../src/config/step-cost.ts'
import { packageRoot } from '../src/package-root.ts'
import { type Contestant, type PeerWay, takeTurns, tryVariants } from './contest.ts'
import { type Device, deviceMemory } from './device.ts'
import { isOutOfMemory, largestBatch } from './largest-batch.ts'
import { median } from './median.ts'
import type { Peer } from './peer.ts'
import { peerDimensions } from './peer-dimensions.ts'
import { type Rounds, startRounds } from './rounds.ts'
import type { Variant, Work } from './works.ts'

export interface Side {
  /** The precision, and for the peer whether it is compiled. */
  readonly variant: string
  readonly medianStepSeconds: number
  readonly imagesPerSecond: number
  readonly modelTflops: number
  /** Of `gemmGflops` in the side's own precision. */
  readonly shareOfPeak: number
  /** On a CPU the largest resident set, on a GPU what the process holds of the device. */
  readonly peakBytes: number
  /** Of that, on a GPU, what PyTorch's allocator gave out at most. */
  readonly allocatedBytes?: number
  readonly seconds: readonly number[]
}

export interface StepRow {
  readonly name: string
  readonly work: string
  readonly batch: number
  /** The best rate of large matrix products that was measured up to then, in the same run. */
  readonly gemmGflops: Device['gemmGflops']
  readonly sherd: Side
  /** The best of its variants: of the two fastest of a first round, the one of the smaller median. */
  readonly peer: Side | null
  /** The other variants: the second from as many rounds, the rest from one; or why they could not run. */
  readonly peerOthers: readonly (Side | Extract<PeerWay, { failed: string }>)[]
  /** Of the medians: above 1, sherd is the faster. */
  readonly ratio: number | null
  /** The same ratio in each round. */
  readonly roundRatios: readonly number[]
}

export interface StepOptions {
  readonly peer: Peer | null
  readonly device: Device
  readonly threads: number
  readonly rounds: number
  /** Instead of the work's own. */
  readonly steps: number | null
  /** Parts of names: ways of running the peer that are tried; none: all. */
  readonly ways: readonly string[]
  /** Instead of the largest that fits, which takes minutes to find. */
  readonly batch: number | null
}

type Times = StepTimes & { readonly allocatedBytes?: number }
type StepRounds = Rounds<{ steps: number }, StepTimes>
type Precision = 'float32' | 'bfloat16'
interface StepContestant extends Contestant<Times> {
  readonly precision: Precision
}

const root = packageRoot()

const configOf = (
  { model, decoder, device, precision }: Work,
  batch: number,
  threads: number,
): ConfigInput => ({
  ...{ model, decoder },
  train: { batchSize: batch, threads, device, precision },
})

const sherdCommand = (work: Work, batch: number, threads: number): string[] => [
  process.execPath,
  join(root, 'dist/bench/sherd-step.js'),
  JSON.stringify(configOf(work, batch, threads)),
]

interface PeerRun {
  readonly peer: Peer
  readonly variant: Variant
  readonly batch: number
  readonly threads: number
}

function peerCommand(work: Work, { peer, variant, batch, threads }: PeerRun): string[] {
  const dimensions = peerDimensions(decodedConfig(resolveConfig(configOf(work, batch, threads))))
  const { precision, compile, mode, fusedAttention } = variant
  const config = {
    ...dimensions,
    maskRatio: 0.75,
    ...{ batch, precision, threads, device: work.device, compile, mode, fusedAttention },
  }
  return [peer.python, '-B', join(root, 'bench/peers/step.py'), JSON.stringify(config)]
}

/** A program that is ready. One that must have the device to itself is started again for every round. */
async function enter(
  work: Work,
  command: string[],
  { steps, threads: asked, patience }: { steps: number; threads: number; patience?: number | undefined },
): Promise<StepContestant> {
  const isAlone = typeof work.batch !== 'number'
  const before = deviceMemory(work.device)
  let running: StepRounds | null = await startRounds(command, patience)
  const { precision } = running.ready as { precision?: Precision }
  const { threads = asked } = running.ready as { threads?: number }
  const allocates = 'torch' in running.ready
  if (threads !== asked) {
    await running.end()
    throw new Error(`${command[0]} takes ${threads} threads and was asked to take ${asked}`)
  }
  let held = 0
  return {
    precision: precision ?? 'float32',
    async turn() {
      running ??= await startRounds(command)
      const times = await running.ask({ steps })
      if (held === 0 && before !== null) held = (deviceMemory(work.device) ?? before) - before
      if (isAlone) {
        await running.end()
        running = null
      }
      if (before === null) return times
      // What PyTorch's allocator gave out at most; sherd's program says nothing of the device.
      const allocated = allocates ? { allocatedBytes: times.peakBytes } : {}
      return { ...times, ...allocated, peakBytes: held }
    },
    async end() {
      await running?.end()
      running = null
    },
  }
}

async function batchOf(work: Work, { peer, threads, batch }: StepOptions): Promise<number> {
  if (typeof work.batch === 'number') return work.batch
  if (batch !== null) return batch
  const runs = async (command: string[]) => {
    try {
      await (await startRounds(command)).end()
      return true
    } catch (error) {
      if (isOutOfMemory(error)) return false
      throw error
    }
  }
  const eager = work.peers[0]!
  const fits = async (batch: number) =>
    (await runs(sherdCommand(work, batch, threads))) &&
    (!peer || (await runs(peerCommand(work, { peer, variant: eager, batch, threads }))))
  const found = await largestBatch(fits, work.batch)
  if (found === null) throw new Error(`${work.title}: not even ${work.batch.from} images fit`)
  return found
}

/** A variant of the peer, ready. Throws when it takes other threads than it was asked to. */
async function enterPeer(work: Work, run: PeerRun, steps: number): Promise<StepContestant> {
  const { patience } = run.variant
  const entered = await enter(work, peerCommand(work, run), { steps, threads: run.threads, patience })
  return { ...entered, precision: run.variant.precision === 'bf16' ? 'bfloat16' : 'float32' }
}

export async function measureStep(work: Work, options: StepOptions): Promise<StepRow> {
  const { rounds, threads, device } = options
  const batch = await batchOf(work, options)
  const config = resolveConfig(configOf(work, batch, threads))
  const flops = batch * stepFlops(config)
  const sideOf = (variant: string, precision: Precision, all: readonly Times[]): Side => {
    const seconds = all.flatMap((each) => each.seconds)
    const typical = median(seconds)
    const allocated = all.flatMap(({ allocatedBytes: bytes }) => (bytes === undefined ? [] : [bytes]))
    return {
      variant,
      medianStepSeconds: typical,
      imagesPerSecond: batch / typical,
      modelTflops: flops / typical / 1e12,
      shareOfPeak: flops / typical / (device.gemmGflops[precision] * 1e9),
      peakBytes: Math.max(...all.map(({ peakBytes }) => peakBytes)),
      ...(allocated.length > 0 && { allocatedBytes: Math.max(...allocated) }),
      seconds,
    }
  }

  const { peer, ways } = options
  const chosen = work.peers.filter(({ name }) => ways.length === 0 || ways.some((way) => name.includes(way)))
  const steps = options.steps ?? work.steps
  const { finalists, others, failed } = await tryVariants(peer ? chosen : [], (variant) =>
    enterPeer(work, { peer: peer!, variant, batch, threads }, steps),
  )
  const sherd = await enter(work, sherdCommand(work, batch, threads), { steps, threads })
  await sherd.turn() // as the peers have had one
  const peers = finalists.map(({ contestant }) => contestant)
  const [mine = [], ...theirs] = await takeTurns([sherd, ...peers], rounds)
  await Promise.all([sherd, ...peers].map((each) => each.end()))

  const ours = sideOf(sherd.precision === 'bfloat16' ? 'bf16' : 'fp32', sherd.precision, mine)
  const sides = finalists
    .map(({ variant, contestant }, i) => ({
      side: sideOf(variant, contestant.precision, theirs[i]!),
      rounds: theirs[i]!,
    }))
    .sort((a, b) => a.side.medianStepSeconds - b.side.medianStepSeconds)
  const [best, ...slower] = sides
  return {
    name: work.name,
    work: typeof work.batch === 'number' ? work.title : `${work.title} (${batch})`,
    batch,
    gemmGflops: device.gemmGflops,
    sherd: ours,
    peer: best?.side ?? null,
    peerOthers: [
      ...slower.map(({ side }) => side),
      ...others.map(({ variant, contestant, first }) => sideOf(variant, contestant.precision, [first])),
      ...failed,
    ],
    ratio: best ? best.side.medianStepSeconds / ours.medianStepSeconds : null,
    roundRatios: (best?.rounds ?? []).map((each, i) => median(each.seconds) / median(mine[i]!.seconds)),
  }
}
